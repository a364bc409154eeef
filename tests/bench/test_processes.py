"""Tests process trees and their use of processor and memory."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from tagmill.bench import processes

STAT = (
    "{pid} ({name}) S {parent} 1 1 0 -1 4194304 100 200 0 0 {user} {system} {children} {childrens} 20 0 1 0 12345 0 0"
)


@given(st.text(st.characters(exclude_characters="\x00\n"), max_size=15), *[st.integers(0, 10**6)] * 5)
def test_a_name_may_contain_any_characters(
    name: str, parent: int, user: int, system: int, children: int, childrens: int
) -> None:
    ticks = {"user": user, "system": system, "children": children, "childrens": childrens}
    text = STAT.format(pid=7, name=name, parent=parent, **ticks)
    assert processes.parse_stat(text) == (parent, sum(ticks.values()) / processes.TICKS)


def test_shared_memory_is_counted_proportionally() -> None:
    text = "7ffc-7ffd ---p 00000000 00:00 0 [rollup]\nRss:   800 kB\nPss:   300 kB\nPss_Dirty:  10 kB\n"
    assert processes.parse_pss(text) == 300 * 1024
    assert processes.parse_pss("") == 0  # a process that has ended


@given(st.dictionaries(st.integers(2, 60), st.integers(1, 60)))
def test_descendants_are_all_processes_below_the_root(parents: dict[int, int]) -> None:
    def leads_up(process: int) -> bool:
        seen = set()
        while process != 1 and process in parents and process not in seen:
            seen.add(process)
            process = parents[process]
        return process == 1

    assert processes.descendants(parents, 1) == {1} | {process for process in parents if leads_up(process)}


def test_a_child_is_counted_with_its_parent() -> None:
    code = "x = sum(range(3_000_000)); print(x, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    alone = processes.cpu_seconds(child.pid)
    found = processes.tree(os.getpid())
    assert found[child.pid] >= alone > 0 and processes.pss_bytes(os.getpid()) > processes.pss_bytes(child.pid) > 0
    child.communicate(b"\n")
    assert child.pid not in processes.tree(os.getpid())


def test_processes_are_found_by_name() -> None:
    code = "x = sum(range(3_000_000)); print(x, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    name = (processes.PROC / str(child.pid) / "comm").read_text().strip()
    found = processes.cpu_by_name(os.getpid(), [name, "no-such-program"])
    assert found.keys() == {name, "no-such-program"} and found["no-such-program"] == 0
    assert found[name] >= processes.tree(child.pid)[child.pid] > 0
    child.communicate(b"\n")
