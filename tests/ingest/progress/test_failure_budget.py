"""Failures that a run may have: what is there already, or was taken down, is none."""

import pytest

from tagmill.ingest.progress.failure_budget import FailureBudget
from tagmill.shards.errors import TagmillError
from tagmill.shards.progress.protocol import Silent


def test_a_run_stops_at_the_row_that_is_too_many() -> None:
    budget = FailureBudget(Silent(), 10, 0.2, "here")
    budget.advance(5, ok=3, timeout=2, duplicate=0)
    budget.advance(3, taken_down=2, duplicate=1)
    with pytest.raises(
        TagmillError, match="3 of 10 rows failed, failure_budget allows 20%: timeout 2, not_found 1"
    ) as caught:
        budget.advance(1, not_found=1)
    assert "higher --failure-budget" in caught.value.remedy and "--timeout" in caught.value.remedy


@pytest.mark.parametrize(
    ("counts", "enough"), [({"ok": 1}, True), ({"duplicate": 1}, True), ({"taken_down": 1}, False)]
)
def test_in_the_end_there_must_be_something(counts: dict[str, int], enough: bool) -> None:
    budget = FailureBudget(Silent(), 4, 1.0, "here")
    budget.advance(4, timeout=3, **counts)
    if enough:
        budget.check(done=True)
    else:
        with pytest.raises(TagmillError, match="timeout 3"):
            budget.check(done=True)


@pytest.mark.parametrize(
    ("rows", "share", "counts", "says", "way"),
    [
        (4, 1.0, {"not_found": 4}, "none of 4 rows has an image: not_found 4", "choose another output"),
        (
            4,
            0.5,
            {"private_address": 2, "taken_down": 2},
            "none of 4 rows has an image",
            "--allow-private also fetches",
        ),
        (4, 1.0, {"robots": 3, "timeout": 1}, "robots 3, timeout 1", "--no-honour-robots"),
        (
            4,
            1.0,
            {"taken_down": 3, "blocked": 1},
            "all images of 4 rows are forbidden: taken_down 3, blocked 1",
            "--takedown",
        ),
    ],
)
def test_where_nothing_came_the_way_out_is_not_the_budget(
    rows: int, share: float, counts: dict[str, int], says: str, way: str
) -> None:
    budget = FailureBudget(Silent(), rows, share, "here")
    budget.advance(rows, **counts)
    with pytest.raises(TagmillError) as caught:
        budget.check(done=True)
    assert says in caught.value.what and way in caught.value.remedy and "budget" not in str(caught.value)
