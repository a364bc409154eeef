"""Tests the cores of ranks: each has some, they do not overlap, and a container's limit applies."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.decode import cpu_affinity
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank, pin, quota_cores, rank_cores


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Sets up eight cores that this process may use, without a limit."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cpu_affinity, "quota_cores", lambda: None)
    return monkeypatch


def local(rank: int, size: int) -> dict[str, str]:
    return {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(size)}


def test_cores_are_divided_among_the_ranks_of_a_machine(machine: pytest.MonkeyPatch) -> None:
    assert cores_per_rank({}) == 8
    assert cores_per_rank(local(0, 4)) == 2
    assert cores_per_rank(local(7, 100)) == 1
    assert rank_cores(local(0, 4)) == {0, 1} and rank_cores(local(3, 4)) == {6, 7}


@given(ranks=st.integers(1, 12), allowed=st.sets(st.integers(0, 63), min_size=1, max_size=20))
def test_ranks_do_not_share_cores_while_there_are_enough(ranks: int, allowed: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: allowed)
        patch.setattr(os, "cpu_count", lambda: len(allowed))
        shares = [rank_cores(local(rank, ranks)) for rank in range(ranks)]
    assert all(share and share <= allowed for share in shares)
    assert len({len(share) for share in shares}) == 1 or ranks > len(allowed)
    if ranks <= len(allowed):
        assert sum(map(len, shares)) == len(set().union(*shares))


@given(
    ranks=st.integers(1, 6),
    allowed=st.sets(st.integers(0, 63), min_size=1, max_size=20),
    budget=st.integers(1, 24),
    quota=st.none() | st.floats(0.5, 20),
)
def test_a_budget_is_a_part_of_the_ranks_cores(ranks: int, allowed: set[int], budget: int, quota: float | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda process: allowed)
        patch.setattr(os, "cpu_count", lambda: len(allowed))
        patch.setattr(cpu_affinity, "quota_cores", lambda: quota)
        for rank in range(ranks):
            whole, part = rank_cores(local(rank, ranks)), rank_cores(local(rank, ranks), budget)
            assert part <= whole and len(part) == min(budget, len(whole))
            assert cores_per_rank(local(rank, ranks), budget) == min(budget, cores_per_rank(local(rank, ranks)))


def test_cores_assigned_by_a_scheduler_are_not_divided_again(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(os, "sched_getaffinity", lambda process: {4, 5})
    assert rank_cores(local(2, 4)) == {4, 5} and cores_per_rank(local(2, 4)) == 2


def test_a_containers_limit_applies(machine: pytest.MonkeyPatch) -> None:
    for quota, ranks, threads in ((2.5, 1, 2), (0.5, 1, 1), (6.0, 4, 1), (100.0, 2, 4)):
        machine.setattr(cpu_affinity, "quota_cores", lambda quota=quota: quota)
        assert cores_per_rank(local(0, ranks)) == threads


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({"cpu.max": "100 0"}, None),
        ({}, None),
    ],
)
def test_the_limit_is_read_in_the_kernels_format(tmp_path: Path, files: dict[str, str], limit: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota_cores(tmp_path) == limit


def test_only_the_calling_thread_is_pinned() -> None:
    before, one = os.sched_getaffinity(0), {min(os.sched_getaffinity(0))}
    seen: list[set[int]] = []

    def work() -> None:
        pin(one)
        started = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        started.start()
        started.join()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [one, one] and os.sched_getaffinity(0) == before
