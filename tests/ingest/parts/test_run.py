"""All parts of a run in worker processes: the same result as in one, and after a worker was killed."""

import dataclasses
import json
import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.blocklist import Blocklist
from tagmill.ingest.filters.pinned import PinnedRules, read_rules
from tagmill.ingest.layout import BLOCKLIST_PIN, PARTITION_MARKER, attempt_file, done_file, rows_file
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.parts.run import all_done, images_left, run_parts
from tagmill.shards.errors import StoreError, TagmillError
from tagmill.shards.input_table import InputTotals
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store
from tests.ingest.liar import Liar, Lie
from tests.ingest.parts.test_make import begun, content, picture, rows_of, web
from tests.shards.countedstore import PAGE_LENGTH, CountedDriver, counted_store

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


MANY = 2_500
PINS = 2  # of takedown rules and blocklists, which may be missing


def many_parts(driver: CountedDriver, rules: PinnedRules) -> list[PartSummary]:
    made = [PartSummary(part, "try", 7, 5, {"timeout": 2}, 9, rules=rules) for part in range(MANY)]
    for summary in made:
        part = summary.part
        for name in (rows_file(part), attempt_file(part, "try")):
            driver.objects[name] = b"x"
        driver.objects[done_file(part)] = summary.json()
    manifest = PartitionManifest(MANY, 7 * MANY, InputTotals(), {})
    driver.objects[PARTITION_MARKER] = json.dumps(dataclasses.asdict(manifest)).encode()
    return made


def unneeded(config: IngestConfig, store: Store, todo: list[int], progress: Progress) -> list[PartSummary]:
    raise AssertionError(todo)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> tuple[CountedDriver, Store]:
    return counted_store(monkeypatch), Store("s3://corpus")


def test_a_resumed_run_reads_each_marker_by_one_request_and_many_at_a_time(
    remote: tuple[CountedDriver, Store],
) -> None:
    driver, store = remote
    made, progress = many_parts(driver, PinnedRules()), Counting()
    driver.together, driver.gated = 32, "done.json"
    config = IngestConfig(input=("x",), output=store.url)
    assert run_parts(config, store, MANY, progress, unneeded) == made
    assert progress.done == 7 * MANY and progress.counts == {"ok": 5 * MANY, "timeout": 2 * MANY}
    pages = -(-len(driver.objects) // PAGE_LENGTH)
    assert driver.counts == {"read": MANY + PINS, "page": pages} and driver.most_in_flight >= 32


def test_parts_that_are_missing_or_under_other_rules_are_made(remote: tuple[CountedDriver, Store]) -> None:
    driver, store = remote
    made = many_parts(driver, PinnedRules())
    others = {7: PinnedRules(blocked="other"), 2400: PinnedRules(denied="other")}
    for part, rules in others.items():
        driver.objects[done_file(part)] = dataclasses.replace(made[part], rules=rules).json()
    del driver.objects[done_file(1900)]
    asked = []

    def make(config: IngestConfig, store: Store, todo: list[int], progress: Progress) -> list[PartSummary]:
        asked.extend(todo)
        return [made[part] for part in reversed(todo)]

    assert run_parts(IngestConfig(input=("x",), output=store.url), store, MANY, Counting(), make) == made
    assert asked == [7, 1900, 2400] and not all_done(store, MANY)


def test_a_marker_that_cannot_be_read_ends_the_run(remote: tuple[CountedDriver, Store]) -> None:
    driver, store = remote
    many_parts(driver, PinnedRules())
    driver.fail.add(done_file(50))
    with pytest.raises(StoreError, match="000050"):
        run_parts(IngestConfig(input=("x",), output=store.url), store, MANY, Counting(), unneeded)
    assert driver.counts["read"] < 500


def test_images_are_left_where_a_marker_is_missing_or_blocklists_by_md5_have_grown(
    remote: tuple[CountedDriver, Store],
) -> None:
    driver, store = remote
    assert images_left(store)
    made = many_parts(driver, PinnedRules())
    driver.counts.clear()
    assert not images_left(store) and driver.counts["read"] == 1 + PINS
    driver.objects[BLOCKLIST_PIN] = Blocklist(md5=frozenset(["0" * 32])).data()
    assert images_left(store)
    rules = read_rules(store)
    many_parts(driver, rules)
    driver.together, driver.gated, driver.counts = 32, "done.json", Counter()
    assert not images_left(store) and driver.counts["read"] == MANY + 1 + PINS
    driver.objects[done_file(MANY - 1)] = made[-1].json()
    assert images_left(store)
    driver.objects[done_file(MANY - 1)] = dataclasses.replace(made[-1], ok=0).json()
    assert not images_left(store)
    del driver.objects[done_file(5)]
    assert images_left(store)
