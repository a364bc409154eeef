"""Tests Lightning: its checkpoints include the loader's state, and its processes divide the samples."""

from pathlib import Path

import pytest

from tests.examples.running import run_beside, run_here
from tests.pipeline.corpora import Made


@pytest.mark.filterwarnings("ignore")
def test_it_resumes_exactly(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    found = {}
    for steps in (2, 4, 9):
        found |= run_here("lightning_module.py", made.url, tmp_path, steps)
    assert found == undisturbed


@pytest.mark.filterwarnings("ignore")
def test_one_process_resumes_a_run_of_two(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    """Lightning starts the second one by itself, without torchrun's variables."""
    part = run_beside("lightning_module.py", made.url, tmp_path, 5, "2", ranks=1, clean=True)
    assert part == pytest.approx({step: undisturbed[step] for step in (1, 2, 3, 4, 5)}, rel=1e-4)  # of both together
    rest = run_here("lightning_module.py", made.url, tmp_path, 9)
    assert rest == pytest.approx({step: undisturbed[step] for step in (6, 7, 8, 9)}, rel=1e-4)
