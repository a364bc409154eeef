"""Tests which world a process has; the refusals of the loader are in test_loader.py."""

import pytest

from tagmill.pipeline.config import World
from tagmill.pipeline.own_world import check_process, own_world
from tagmill.shards.errors import ConfigError


def test_without_torch_distributed_the_world_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert own_world() == World(2, 3)
    monkeypatch.delenv("RANK")
    with pytest.raises(ConfigError, match="without the other"):
        own_world()


def test_a_loader_may_be_iterated_where_there_is_no_other_world() -> None:
    check_process(World(0, 2))
    check_process(None)
