"""All parts of a run in worker processes: the same result as in one, and after a worker was killed."""

import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tagmill.ingest.layout import done_file
from tagmill.ingest.parts.run import run_parts
from tagmill.ingest.progress.progress import Silent
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.store import Store
from tests.ingest.liar import Liar, Lie
from tests.ingest.parts.test_make import begun, content, picture, rows_of, web

__all__ = ["web"]  # a fixture


class Counting(Silent):
    def __init__(self) -> None:
        self.done = 0
        self.counts: Counter[str] = Counter()

    def advance(self, n: int, **counts: int) -> None:
        self.done += n
        self.counts.update(counts)


def test_one_process_and_two_give_the_same(tmp_path: Path, web: Liar) -> None:
    found = []
    for processes in (1, 2):
        config = begun(tmp_path / str(processes), web, processes=processes)
        progress = Counting()
        summaries = run_parts(config, Store(config.output), 4, progress)
        assert [made.part for made in summaries] == [0, 1, 2, 3]
        assert progress.done == sum(made.rows for made in summaries) == len(rows_of(web))
        assert progress.counts["ok"] == sum(made.ok for made in summaries)
        found.append(content(config, summaries))
        again = Counting()
        assert run_parts(config, Store(config.output), 4, again) == summaries
        assert again.counts == progress.counts
    assert found[0] == found[1]


def test_a_killed_worker_is_named_and_a_second_call_goes_on(tmp_path: Path, web: Liar) -> None:
    asked = threading.Event()

    def slow(before: int) -> Lie:
        if before == 0:
            asked.set()
            time.sleep(3)
        return Lie(picture(3))

    config = begun(tmp_path / "killed", web, processes=2)
    wanted = begun(tmp_path / "whole", web)
    whole = content(wanted, run_parts(wanted, Store(wanted.output), 4, Silent()))
    quick, web.hits["/3.png"] = web.answers["/3.png"], 0
    web.answers["/3.png"] = slow
    mine = set(children())

    def kill() -> None:
        asked.wait(60)
        for child in set(children()) - mine:
            os.kill(child, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    try:
        with pytest.raises(TagmillError, match=r"a worker process died \(.*at part 00000") as caught:
            run_parts(config, Store(config.output), 4, Silent())
        assert "run it again" in caught.value.remedy
        assert not all(Store(config.output).exists(done_file(part)) for part in range(4))
        assert content(config, run_parts(config, Store(config.output), 4, Silent())) == whole
    finally:
        web.answers["/3.png"] = quick


def children() -> list[int]:
    """Worker processes of this one: children of its fork server."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    servers = {
        process for process, parent in parents.items() if parent == os.getpid() and "forkserver" in command_of(process)
    }
    return [process for process, parent in parents.items() if parent in servers]


def command_of(process: int) -> str:
    """Returns the command line of a process."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""


def test_what_goes_wrong_in_a_worker_comes_out_as_it_is(tmp_path: Path, web: Liar) -> None:
    config = begun(tmp_path, web)
    Path(config.output, "parts/000002/rows.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"rows\.parquet"):
        run_parts(config, Store(config.output), 4, Silent())
