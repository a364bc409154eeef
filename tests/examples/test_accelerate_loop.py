"""Tests Accelerate: its checkpoints include the loader's state, and it does not divide a rank's share again."""

from pathlib import Path

import pytest
from accelerate import Accelerator

from tagmill.pipeline import Loader, LoaderConfig, World
from tests.examples.running import run_beside, run_here
from tests.pipeline.corpora import Made


def test_it_resumes_exactly(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    found = {}
    for steps in (2, 4, 9):
        found |= run_here("accelerate_loop.py", made.url, tmp_path, steps)
    assert found == undisturbed


def test_one_process_resumes_a_run_of_two(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    part = run_beside("accelerate_loop.py", made.url, tmp_path, 5)
    assert part == pytest.approx({step: undisturbed[step] for step in (1, 2, 3, 4, 5)}, rel=1e-4)  # of both together
    rest = run_here("accelerate_loop.py", made.url, tmp_path, 9)
    assert rest == pytest.approx({step: undisturbed[step] for step in (6, 7, 8, 9)}, rel=1e-4)


def test_preparing_a_loader_changes_nothing(made: Made) -> None:
    loader = Loader(made.url, LoaderConfig(streams=4, chunk=4, batch_size=8), World(0, 2))
    assert Accelerator(cpu=True).prepare(loader) is loader
