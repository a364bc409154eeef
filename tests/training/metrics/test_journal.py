"""Tests the journal of metrics."""

from pathlib import Path

import pytest

from tagmill.shards import Store
from tagmill.training.metrics.journal import JOURNAL, Journal
from tests.training.runs import lines


def test_lines_after_the_step_and_truncated_ones_are_dropped(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 2, "lo')
    journal = Journal(Store(str(tmp_path)), str(tmp_path), 2)
    journal.add({"step": 3, "loss": 1.5})
    assert lines(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.5}]


def test_a_number_that_json_does_not_have_is_not_written(tmp_path: Path) -> None:
    journal = Journal(Store(str(tmp_path)), str(tmp_path), 0)
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.add({"step": 1, "loss": float("nan")})
    assert lines(tmp_path) == []
