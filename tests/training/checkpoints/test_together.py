"""Tests that what fails on one process is raised on all, and that an output is tried before training."""

from pathlib import Path

import pytest
import torch.distributed as dist

from tagmill.pipeline import World
from tagmill.shards import Store, StoreError, TagmillError
from tagmill.training.checkpoints.together import check_output, from_all, on_all, on_first
from tests.training.checkpoints.ranks import on_ranks


def actions(world: World) -> None:
    group = dist.group.WORLD

    def fail(*ranks: int) -> int:
        if world.rank in ranks:
            raise TagmillError(f"rank {world.rank}")
        return world.rank

    assert on_first(group, lambda: fail(1)) == 0 and on_all(group, lambda: fail(7)) == world.rank
    for action, says in (
        (lambda: on_first(group, lambda: fail(0)), "rank 0"),
        (lambda: on_all(group, lambda: fail(1)), "rank 1"),
    ):
        with pytest.raises(TagmillError, match=says):
            action()
    assert from_all(group, f"of {world.rank}") == ["of 0", "of 1"]
    on_all(group, lambda: fail(0, 1))


def test_errors_are_agreed() -> None:
    assert on_ranks(2, actions) == ["rank 0", "rank 0"]


def test_one_process_needs_no_agreement() -> None:
    assert on_first(None, lambda: 3) == on_all(None, lambda: 3) == 3
    assert from_all(None, "own") == ["own"]


def test_an_output_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    check_output(Store(str(tmp_path / "model")), None)
    assert [path.name for path in (tmp_path / "model").rglob("*")] == ["checkpoints"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write here"):
        check_output(Store(str(tmp_path / "file")), None)
