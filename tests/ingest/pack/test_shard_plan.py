"""Packing plans: every sample in exactly one shard, in order, inside the limits, numbered through all groups."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.pack import shard_plan as plans
from tagmill.ingest.pack.shard_plan import Before, GroupSizes, check_partitions, plan, roll, tar_bytes
from tagmill.shards.errors import ConfigError
from tests.ingest.smallweb import config

# Many sums of these are just as long as a tar may be.
sizes = st.lists(st.sampled_from([1, 9, 18, 20, 60]).map(lambda blocks: blocks * 512), max_size=60).map(
    lambda s: np.array(s, np.int64)
)
limits = st.tuples(st.integers(1, 12), st.integers(0, 3).map(lambda records: records * 10_240 + 777))


def greedy(blocks: list[int], max_samples: int, max_bytes: int) -> list[list[int]]:
    """One sample after the other into the open shard, or into a new one where it does not fit."""
    shards: list[list[int]] = []
    for size in blocks:
        open_shard = shards[-1] if shards else []
        fits = len(open_shard) < max_samples and tar_bytes(sum(open_shard) + size) <= max_bytes
        if open_shard and fits:
            open_shard.append(size)
        else:
            shards.append([size])
    return shards


@given(sizes, limits)
def test_a_roll_is_the_greedy_one(of: np.ndarray, limit: tuple[int, int]) -> None:
    expected = [(len(shard), sum(shard)) for shard in greedy(of.tolist(), *limit)]
    assert list(roll(of, *limit)) == expected


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=5), limits)
def test_a_plan_holds_every_sample_once_and_no_shard_crosses_a_group(
    groups: list[tuple[np.ndarray, np.ndarray]], limit: tuple[int, int]
) -> None:
    made = [GroupSizes((2 * i, 2 * i + 1), train, out) for i, (train, out) in enumerate(groups)]
    planned = plan(made, max_samples=limit[0], max_bytes=limit[1])
    for group, found in zip(made, planned):
        assert (found.parts, found.split) == (group.parts, "train")
        assert sum(shard.samples for shard in found.shards) == len(group.train)
        assert sum(shard.sample_bytes for shard in found.shards) == group.train.sum()
    heldout = np.concatenate([group.heldout for group in made])
    assert [group.label for group in planned[len(made) :]] == (["holdout"] if len(heldout) else [])
    if len(heldout):
        assert sum(shard.samples for shard in planned[-1].shards) == len(heldout)
        assert planned[-1].parts == ()
    train = [shard.name for group in planned if group.split == "train" for shard in group.shards]
    assert train == [f"{number:06d}" for number in range(len(train))]
    for shard in (shard for group in planned for shard in group.shards):
        assert 1 <= shard.samples <= limit[0]
        assert shard.samples == 1 or tar_bytes(shard.sample_bytes) <= limit[1]


def test_a_tar_of_no_bytes_is_one_record_and_two_blocks_may_need_another() -> None:
    assert [tar_bytes(size) for size in (0, 10_240 - 1024, 10_240 - 512)] == [10_240, 10_240, 20_480]


def test_more_shards_than_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_SHARDS", 2)
    group = GroupSizes((0,), np.full(3, 512, np.int64), np.empty(0, np.int64))
    with pytest.raises(ConfigError, match="3 shards"):
        plan([group], max_samples=1, max_bytes=1 << 30)


def test_what_is_checked_when_rows_are_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(plans, "MOST_SHARDS", 10)
    with pytest.raises(ConfigError, match="holdout 30 takes all of 30 rows"):
        check_partitions(config("rows", tmp_path, holdout=30), 30, 1)
    for settings in ({"holdout": 29}, {"holdout": 30, "extend": True}):
        check_partitions(config("rows", tmp_path, **settings), 30, 1)
    check_partitions(config("rows", tmp_path), 0, 1)  # which another error is about
    check_partitions(config("rows", tmp_path, shard_samples=3), 30, 30)
    assert not caplog.records
    check_partitions(config("rows", tmp_path, shard_samples=3), 31, 1)
    check_partitions(config("rows", tmp_path), 30, 31)  # as many groups of three parts
    check_partitions(config("rows", tmp_path), 30, 1, Before(1, train=6))
    assert [record.getMessage()[:30].split(", ")[0] for record in caplog.records] == [
        *("there may be 11 shards", "there may be 11 shards", "there may be 11 shards")
    ]


def test_numbers_go_on_after_what_is_there() -> None:
    group = GroupSizes((0, 1), np.full(3, 512, np.int64), np.full(2, 512, np.int64))
    planned = plan([group, group], max_samples=2, max_bytes=1 << 20, before=Before(runs=2, train=7, holdout=1))
    assert [(found.label, [shard.name for shard in found.shards]) for found in planned] == [
        ("extend-000002-000000", ["000007", "000008"]),
        ("extend-000002-000001", ["000009", "000010"]),
        ("extend-000002-holdout", ["holdout-000001", "holdout-000002"]),
    ]
