"""Tests the plain loop: stopped and resumed, also by another number of processes."""

from pathlib import Path

import pytest

from tests.examples.running import run_beside, run_here
from tests.pipeline.corpora import Made


def test_it_resumes_exactly(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    found = {}
    for steps in (2, 4, 9):  # within an epoch, at its end, and beyond
        found |= run_here("plain_loop.py", made.url, tmp_path, steps)
    assert found == undisturbed


def test_one_process_resumes_a_run_of_two(made: Made, undisturbed: dict[int, float], tmp_path: Path) -> None:
    part = run_beside("plain_loop.py", made.url, tmp_path, 5)
    assert part == pytest.approx({step: undisturbed[step] for step in (1, 2, 3, 4, 5)}, rel=1e-4)  # of both together
    rest = run_here("plain_loop.py", made.url, tmp_path, 9)
    assert rest == pytest.approx({step: undisturbed[step] for step in (6, 7, 8, 9)}, rel=1e-4)
