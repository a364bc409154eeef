"""Failures that a run may have: what is there already, or was taken down, is none."""

import pytest

from tagmill.ingest.budget import Budget
from tagmill.ingest.progress import Silent
from tagmill.shards.errors import TagmillError


def test_a_run_stops_at_the_row_that_is_too_many() -> None:
    budget = Budget(Silent(), 10, 0.2, "here")
    budget.advance(5, ok=3, timeout=2, duplicate=0)
    budget.advance(3, taken_down=2, duplicate=1)
    with pytest.raises(TagmillError, match="3 of 10 rows failed, the budget is 20%: timeout 2, not_found 1"):
        budget.advance(1, not_found=1)


@pytest.mark.parametrize(
    ("counts", "enough"), [({"ok": 1}, True), ({"duplicate": 1}, True), ({"taken_down": 1}, False)]
)
def test_in_the_end_there_must_be_something(counts: dict[str, int], enough: bool) -> None:
    budget = Budget(Silent(), 4, 1.0, "here")
    budget.advance(4, timeout=3, **counts)
    if enough:
        budget.check(done=True)
    else:
        with pytest.raises(TagmillError, match="timeout 3"):
            budget.check(done=True)
