"""Tests that errors of torch's distributed checkpoint end as one line."""

import traceback

import pytest
from torch.distributed.checkpoint.api import CheckpointException

from tagmill.shards import StoreError, TagmillError
from tagmill.training.checkpoints.failures import first_failure, raising_first


def wrapped(**failures: BaseException) -> CheckpointException:
    return CheckpointException(
        "save", {int(rank[1:]): (error, traceback.extract_stack()) for rank, error in failures.items()}
    )


def test_the_failure_of_the_lowest_rank_is_taken() -> None:
    ours = StoreError("no space", "here", "free space")
    assert first_failure(wrapped(r3=ValueError("late"), r1=ours)) is ours
    other = first_failure(wrapped(r2=ValueError("many\n  lines")))
    assert str(other) == "ValueError: many lines"
    assert first_failure(RuntimeError()).what == "RuntimeError: no reason given"


def test_an_action_raises_one_line_with_its_place() -> None:
    def refused() -> None:
        raise wrapped(r0=LookupError("w"))

    def denied() -> None:
        raise wrapped(r0=StoreError("no access", "there"))

    assert raising_first(lambda: 7, "here") == 7
    with pytest.raises(TagmillError, match=r"LookupError: w \(here\)"):
        raising_first(refused, "here")
    with pytest.raises(TagmillError, match=r"no access \(there\)"):
        raising_first(denied, "here")
