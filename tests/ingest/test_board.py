"""The board: counts come through, workers stop when told, and leave when their parent is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.board import Board, Line, StoppedError, line
from tagmill.ingest.progress import Silent


class Seen(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, int]]] = []

    def advance(self, n: int, **counts: int) -> None:
        self.calls.append((n, counts))


def lines_of(board: Board, workers: int, outcomes: tuple[str, ...]) -> list[Line]:
    return [Line(board._lines, number, outcomes) for number in range(workers)]


def test_only_what_is_new_is_told() -> None:
    board, seen = Board(2, ("ok", "bad")), Seen()
    first, second = lines_of(board, 2, ("ok", "bad"))

    def work(tell: Any) -> str:
        tell("ok", 3)
        board.tell(seen)
        tell("bad", 2)
        assert board.items() == "000007"
        return "done"

    assert first.during(7, work) == "done"
    second.during(1, lambda tell: tell("ok", 1))
    board.tell(seen)
    board.tell(seen)
    assert seen.calls == [(3, {"ok": 3}), (3, {"ok": 1, "bad": 2})]
    assert board.items() == ""


def test_a_stopped_board_stops_its_workers() -> None:
    board = Board(1, ("ok",))
    board.stop()
    with pytest.raises(StoppedError):
        lines_of(board, 1, ("ok",))[0].during(0, lambda tell: tell("ok", 1))
    assert board.items() == "000000"  # still named as the one at work


def double(number: int) -> int:
    return line().during(number, lambda tell: tell("ok", number) or 2 * number)


def test_workers_write_on_the_board(tmp_path: Path) -> None:
    board, seen = Board(2, ("bad", "ok")), Seen()
    with board.pool() as pool:
        assert list(pool.map(double, range(1, 6))) == [2, 4, 6, 8, 10]
    board.tell(seen)
    assert seen.calls == [(15, {"ok": 15})]


PARENT = """
import os, sys, time
from tagmill.ingest.board import Board
if __name__ == "__main__":
    with Board(1, ("ok",)).pool() as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(process: int) -> bool:
    """Neither gone nor a zombie that nobody has buried yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
