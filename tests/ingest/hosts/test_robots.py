"""The stage that asks hosts for robots.txt, against hosts that mean well and others; and parts that go by it."""

import dataclasses
import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest import IngestConfig, ingest
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Engine, Parquet
from tagmill.ingest.fetch import fetcher
from tagmill.ingest.fetch.robots_rules import MAX_ROBOTS_BYTES
from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.hosts import robots as robots_stage
from tagmill.ingest.hosts.robots import Asked, ask_hosts, find_hosts
from tagmill.ingest.http import sockets
from tagmill.ingest.layout import (
    HOSTS_MARKER,
    ROBOTS_MARKER,
    TAKEDOWN_PIN,
    answers_file,
    asked_file,
    attempt_file,
    origins_file,
    rules_file,
)
from tagmill.ingest.parts.make import PartTask, run_part
from tagmill.ingest.parts.partition import PartitionManifest, partition
from tagmill.ingest.parts.table import part_schema
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.storage.store import Store
from tests.ingest.deadly import run_deadly
from tests.ingest.forked import ForkedRuns
from tests.ingest.liar import Crowd, Liar, Lie, redirect
from tests.ingest.smallweb import picture
from tests.ingest.test_run import digests
from tests.shards.countedstore import counted_store
from tests.shards.progress.recorded import Recorded

PICTURE = Lie(picture(1))


@pytest.fixture
def webs() -> Iterator[list[Liar]]:
    """Hosts of one's own: each has pictures everywhere but at /robots.txt."""
    with ExitStack() as stack:
        yield [stack.enter_context(Liar({f"/{name}.jpg": PICTURE for name in "abc"})) for _ in range(4)]


class Told(Silent):
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def advance(self, n: int, **counts: int) -> None:
        assert n == sum(counts.values())
        self.counts.update(counts)


@dataclasses.dataclass
class Run:
    """A list that is partitioned, and its stages."""

    config: IngestConfig
    manifest: PartitionManifest
    spool: Path

    @property
    def store(self) -> Store:
        return Store(self.config.output)

    def ask(self, **changes: Any) -> tuple[Asked, Counter[str]]:
        def engine() -> Engine:
            return DuckDB(self.spool / "engine", memory_limit="300MB", threads=1)

        told, config = Told(), dataclasses.replace(self.config, **changes)
        scanned, there = Recorded(), self.store.exists(HOSTS_MARKER)
        scanned.stage("hosts")
        sizes = find_hosts(config, self.store, self.manifest.num_parts, engine, scanned)
        assert scanned.done["hosts"] == (0 if there else self.manifest.num_parts)
        return ask_hosts(config, self.store, self.manifest.num_parts, sizes, engine, told), told.counts

    def fetch(self) -> dict[str, tuple[str | None, str | None]]:
        """(reason, detail) of each URL."""
        fates = {}
        for part in range(self.manifest.num_parts):
            summary = run_part(PartTask(self.config, self.store, part, part_schema(self.config), concurrency=4))
            table = pq.read_table(Path(self.config.output, attempt_file(part, summary.attempt)))
            fates |= {row["url"]: (row["reason"], row["detail"]) for row in table.to_pylist()}
        return fates

    def answers(self) -> dict[str, dict[str, Any]]:
        tasks = [name for name in self.store.names("parts/robots/answers") if name.endswith(".parquet")]
        return {row["origin"]: row for name in tasks for row in read_table(self.store.read(name)).to_pylist()}


def partitioned(folder: Path, urls: list[str], **settings: Any) -> Run:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"url": urls, "tags": ["x"] * len(urls)}), folder / "list.parquet")
    plain: dict[str, Any] = {"allow_private": True, "timeout": 5.0, "retries": 0, "processes": 1, "concurrency": 4}
    plain |= {"image_size": 32, "decoders": 1, "honour_tdm": False}  # tests/ingest/test_run_opt_outs.py has tdmrep.json
    config = IngestConfig(input=(str(folder / "list.parquet"),), output=str(folder / "corpus"), **{**plain, **settings})
    return Run(config, partition(config, Store(config.output), folder / "spool"), folder / "spool")


def robots(text: str) -> Lie:
    return Lie(text.encode(), headers=(("Content-Type", "text/plain"),))


def origin(web: Liar) -> str:
    return web.url("").rstrip("/")


def test_each_host_is_asked_once_and_parts_go_by_what_it_said(tmp_path: Path, webs: list[Liar]) -> None:
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /\n\nUser-agent: tagmill\nDisallow: /*a.jpg$")
    webs[1].answers["/robots.txt"] = robots(
        "User-agent: other\nDisallow: /\nUser-agent: *\nDisallow: /b\nAllow: /b.jpg$"
    )
    webs[2].answers["/robots.txt"] = Lie(status=500)
    urls = [web.url(f"/{name}.jpg") for web in webs for name in "abc"] + [webs[1].url("/b.jpg?x")] * 2
    run = partitioned(tmp_path, [*urls, "no url", "ftp://127.0.0.1/x", "http://[oops/"], rows_per_part=4)
    asked, told = run.ask()
    assert run.manifest.num_parts == 8 and asked.hosts == 4
    assert [web.hits.total() for web in webs] == [1, 1, 1, 1]
    assert told == asked.outcomes == {"ok": 3, "robots": 1}
    head = webs[0].heads[0]
    assert head.startswith("GET /robots.txt ") and "Accept: text/plain" in head and "User-Agent: tagmill" in head
    fates = run.fetch()
    broken = ("robots", "robots.txt: HTTP 500")
    forbidden = {webs[0].url("/a.jpg"): ("robots", "Disallow"), webs[1].url("/b.jpg?x"): ("robots", "Disallow")}
    forbidden |= {webs[2].url(f"/{name}.jpg"): broken for name in "abc"}
    assert {url: fates[url] for url in urls} == {url: forbidden.get(url, (None, None)) for url in urls}
    assert {fates[url][0] for url in ("no url", "ftp://127.0.0.1/x", "http://[oops/")} == {"bad_url"}
    for web in webs:
        assert web.hits["/robots.txt"] == 1  # not by the parts
        assert {path for path in web.hits if path != "/robots.txt"} == {
            f"/{name}.jpg" for name in "abc" if web.url(f"/{name}.jpg") not in forbidden
        }
    rows = run.answers()
    assert rows[origin(webs[0])]["rules"] == "Disallow: /*a.jpg$" and rows[origin(webs[0])]["http_status"] == 200
    assert (rows[origin(webs[2])]["reason"], rows[origin(webs[3])]["http_status"]) == ("robots", 404)


def lies_of_hosts() -> dict[str, tuple[Lie, str | None, str | None]]:
    """An answer to the question for robots.txt, and what becomes of the host's URLs."""
    free = (None, None)
    long = b"User-agent: *\nDisallow: /a\n" + b"Disallow: /directory\n" * (10 << 20 >> 4)
    big = "".join(f"Disallow: /directory/{number}\n" for number in range(200))
    return {
        "ten megabytes": (Lie(long), "robots", "Disallow"),
        "without an end": (Lie(long[:MAX_ROBOTS_BYTES], length=10**12), "robots", "Disallow"),
        "longer than a table's": (robots(f"User-agent: *\n{big}Disallow: /a"), "robots", "Disallow"),
        "garbage": (Lie(bytes(range(256)) * 999), *free),
        "a page": (Lie(b"<html>User-agent: *\nDisallow: /</html>"), *free),
        "empty": (Lie(), *free),
        "forbidden itself": (Lie(status=403), *free),
        "too many": (Lie(status=429), "robots", "robots.txt: HTTP 429"),
        "no such method": (Lie(status=501), "robots", "robots.txt: HTTP 501"),
        "a loop": (redirect("/robots.txt"), *free),
        "to nowhere": (redirect("ftp://x/"), *free),
        "cut": (Lie(b"User-agent: *", length=99), "truncated", "robots.txt: the body ends before its length"),
        "no HTTP": (Lie(raw=b"User-agent: *\nDisallow: /"), "bad_headers", "robots.txt: no HTTP status line"),
        "dripping": (Lie(b"x" * 999, drip=0.1), "timeout", "robots.txt: no whole answer within 2 s"),
        "gone": (Lie(raw=b""), "connection", "robots.txt: closed before the end of the headers"),
    }


@pytest.mark.parametrize("kind", lies_of_hosts())
def test_what_a_hostile_host_answers(tmp_path: Path, webs: list[Liar], kind: str) -> None:
    lie, reason, detail = lies_of_hosts()[kind]
    webs[0].answers["/robots.txt"] = lie
    run = partitioned(tmp_path, [webs[0].url("/a.jpg"), webs[0].url("/b.jpg")], timeout=2.0)
    run.ask()
    hits = Counter(webs[0].hits)
    asked = {"a loop": 6, "gone": 2, "no HTTP": 2}  # aiohttp asks again, and the lenient reader
    assert set(hits) == {"/robots.txt"} and hits["/robots.txt"] == asked.get(kind, 1)
    fates = run.fetch()
    assert fates[webs[0].url("/a.jpg")] == (reason, detail)
    assert webs[0].hits["/robots.txt"] == hits["/robots.txt"] and webs[0].hits["/a.jpg"] == (reason is None)
    assert run.answers()[origin(webs[0])]["rules"].count("\n") < 100  # longer rules are in a file of their own, once


def test_redirects_are_followed_five_times_and_to_other_hosts(tmp_path: Path, webs: list[Liar]) -> None:
    webs[0].answers["/robots.txt"] = redirect("/1")
    webs[0].answers |= {f"/{n}": redirect(f"/{n + 1}") for n in range(1, 4)}
    webs[0].answers["/4"] = redirect(webs[1].url("/rules"))
    webs[1].answers["/rules"] = robots("User-agent: *\nDisallow: /a")
    webs[2].answers["/robots.txt"] = redirect(webs[0].url("/robots.txt"))  # one too many
    run = partitioned(tmp_path, [webs[0].url("/a.jpg"), webs[2].url("/a.jpg")], max_redirects=0)
    run.ask()
    assert run.fetch() == {webs[0].url("/a.jpg"): ("robots", "Disallow"), webs[2].url("/a.jpg"): (None, None)}


def test_a_private_address_is_not_reached_by_way_of_robots_txt(
    tmp_path: Path, webs: list[Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.1 plays the public internet here, 127.0.0.2 the private one."""
    monkeypatch.setattr(sockets, "is_public", lambda address: address == "127.0.0.1")
    webs[0].answers["/robots.txt"] = redirect(webs[1].url("/robots.txt", "127.0.0.2"))
    urls = [webs[0].url("/a.jpg"), webs[2].url("/a.jpg", "127.0.0.2")]
    run = partitioned(tmp_path, urls, allow_private=False)
    run.ask()
    assert run.fetch() == {urls[0]: (None, None), urls[1]: ("private_address", fetcher._PRIVATE_NAME)}
    assert webs[1].connections == webs[2].connections == 0


def test_a_silent_host_costs_one_connection_and_a_dead_one_too(tmp_path: Path) -> None:
    with socket.socket() as silent, socket.socket() as dead:
        for each in (silent, dead):
            each.bind(("127.0.0.1", 0))
        silent.listen(64)
        places = [f"http://127.0.0.1:{each.getsockname()[1]}/" for each in (silent, dead)]
        urls = [f"{place}{number}" for place in places for number in range(12)]
        run = partitioned(tmp_path, urls, timeout=0.5, rows_per_part=6)
        _, told = run.ask()
        fates = run.fetch()
        silent.setblocking(False)
        connections = 0
        while True:
            try:
                silent.accept()[0].close()
                connections += 1
            except BlockingIOError:
                break
    assert told == {"timeout": 1, "connection": 1} and connections == 1
    late, gone = "robots.txt: no whole answer within 0.5 s", "robots.txt: refused"
    assert Counter(fates.values()) == {("timeout", late): 12, ("connection", gone): 12}


def test_a_host_of_many_urls_has_a_second_chance(
    tmp_path: Path, webs: list[Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots_stage, "AGAIN_AFTER", 0.01)
    for web in webs[:2]:
        web.answers["/robots.txt"] = lambda before: robots("") if before else Lie(status=503)
    urls = [webs[0].url(f"/{number}") for number in range(7)] + [webs[1].url("/a.jpg")]
    run = partitioned(tmp_path, urls, host_failures=7)
    _, told = run.ask()
    assert told == {"ok": 1, "robots": 1}
    assert [web.hits["/robots.txt"] for web in webs[:2]] == [2, 1]


def test_a_redirect_is_checked_by_the_rules_of_the_host_that_it_leads_to(tmp_path: Path, webs: list[Liar]) -> None:
    """Of the run's list or not; a host that is not is asked when it is met, once."""
    for web in webs[1:3]:
        web.answers["/robots.txt"] = robots("User-agent: *\nDisallow: /a")
    for name in "abc":
        webs[0].answers |= {f"/to1{name}": redirect(webs[1].url(f"/{name}.jpg"))}
        webs[0].answers |= {f"/to2{name}": redirect(webs[2].url(f"/{name}.jpg"))}
    ways = [webs[0].url(f"/to{host}{name}") for host in "12" for name in "abc"]
    run = partitioned(tmp_path, [*ways, webs[1].url("/c.jpg")])
    run.ask()
    assert [web.hits["/robots.txt"] for web in webs] == [1, 1, 0, 0]
    fates = run.fetch()
    assert [fates[url] for url in ways] == [("robots", "Disallow"), (None, None), (None, None)] * 2
    assert [web.hits["/robots.txt"] for web in webs] == [1, 1, 1, 0]
    assert all(web.hits["/a.jpg"] == 0 and web.hits["/b.jpg"] == 1 for web in webs[1:3])


def test_a_run_that_ignores_robots_txt_fetches_everything(tmp_path: Path, webs: list[Liar]) -> None:
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /")
    urls = [webs[0].url("/a.jpg")]
    assert partitioned(tmp_path / "off", urls, honour_robots=False).fetch() == {urls[0]: (None, None)}
    assert webs[0].hits["/robots.txt"] == 0
    assert partitioned(tmp_path / "on", urls).fetch() == {urls[0]: ("robots", "Disallow")}  # even without the stage


def test_what_a_takedown_list_forbids_is_not_asked_for_either(tmp_path: Path, webs: list[Liar]) -> None:
    run = partitioned(tmp_path, [webs[0].url("/a.jpg"), webs[1].url("/a.jpg"), webs[1].url("/b.jpg")])
    denied = [rule("url", webs[0].url("/a.jpg")), rule("url", webs[1].url("/a.jpg"))]
    run.store.put(TAKEDOWN_PIN, Denylist(frozenset(denied)).json())
    asked, _ = run.ask()
    assert asked.hosts == 1 and webs[0].hits.total() == 0 and webs[1].hits["/robots.txt"] == 1


def test_a_crawl_delay_is_kept_within_its_bound(tmp_path: Path, webs: list[Liar]) -> None:
    """Requests that come one after another, so that two are never in flight however long each takes."""
    crowd = Crowd(0.05)
    webs[0].answers |= dict.fromkeys(["/a.jpg", "/b.jpg", "/c.jpg"], crowd)
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nCrawl-delay: 100")
    run = partitioned(tmp_path, [webs[0].url(f"/{name}.jpg") for name in "abc"], max_crawl_delay=0.5)
    run.ask()
    assert set(run.fetch().values()) == {("not_an_image", "text")}
    assert crowd.most == 1


def test_answers_hold_for_a_day_and_for_the_agent_that_asked(tmp_path: Path, webs: list[Liar]) -> None:
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /a")
    run = partitioned(tmp_path, [webs[0].url("/a.jpg")])
    first, _ = run.ask()
    again, told = run.ask()
    assert again == first and told == first.outcomes == {"ok": 1} and webs[0].hits.total() == 1
    run.store.delete(ROBOTS_MARKER)  # killed after the answers
    assert run.ask()[0] == first and webs[0].hits.total() == 1
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow: /b")
    other, _ = run.ask(user_agent="other/1")
    assert webs[0].hits.total() == 2 and other.agents == ["other", "tagmill"]
    for name in (ROBOTS_MARKER, asked_file(0)):
        old = (datetime.now(UTC) - timedelta(seconds=run.config.robots_max_age + 1)).isoformat()
        run.store.put(name, json.dumps({**dataclasses.asdict(first), "asked_at": old}).encode())
    run.ask()
    assert webs[0].hits.total() == 3
    assert read_table(run.store.read(rules_file(0)))["rules"].to_pylist() == ["Disallow: /b"]
    run.ask(robots_max_age=0.0)
    assert webs[0].hits.total() == 4


def test_hosts_are_found_once_whatever_their_number_of_parts(
    tmp_path: Path, webs: list[Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots_stage, "HOSTS", 3)
    ports = [socket.socket() for _ in range(8)]
    for each in ports:
        each.bind(("127.0.0.1", 0))
    places = [f"127.0.0.1:{each.getsockname()[1]}" for each in ports]
    urls = [f" HTTP://me@{place}/{number}#x " for place in places for number in range(5)]
    run = partitioned(tmp_path, urls, rows_per_part=3, processes=2, host_failures=99)
    asked, told = run.ask()
    assert asked.hosts == 8 and told == {"connection": 8}
    assert len([name for name in run.store.names("parts/robots/answers") if name.endswith(".json")]) == 3
    assert set(run.answers()) == {f"http://{place}" for place in places}
    for part in range(run.manifest.num_parts):
        mine = read_table(run.store.read(origins_file(part)))["origin"].to_pylist()
        listed = read_table(run.store.read(rules_file(part))) if mine else None
        assert listed is None or listed["origin"].to_pylist() == mine
    for each in ports:
        each.close()


def test_a_list_without_a_host(tmp_path: Path) -> None:
    run = partitioned(tmp_path, ["", "no url", "http://"])
    asked, _ = run.ask()
    assert asked.hosts == 0 and run.ask()[0] == asked
    assert {reason for reason, _ in run.fetch().values()} == {"bad_url"}


@pytest.fixture
def corpus_web(webs: list[Liar]) -> list[str]:
    """URLs of pictures, some of them forbidden."""
    for number, web in enumerate(webs):
        web.answers = {f"/{i}.jpg": Lie(picture(10 * number + i)) for i in range(10)}
        web.answers["/robots.txt"] = robots(f"User-agent: *\nDisallow: /*{number}.jpg")
    webs[3].answers["/robots.txt"] = Lie(status=503)
    return [web.url(f"/{i}.jpg") for web in webs for i in range(10)]


def whole(run: Run, name: str, **changes: Any) -> IngestConfig:
    output = str(Path(run.config.output).with_name(name))
    return dataclasses.replace(run.config, output=output, rows_per_part=5, parts_per_group=2, **changes)


def test_the_same_bytes_with_one_process_and_three(
    tmp_path: Path, corpus_web: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots_stage, "HOSTS", 1)
    run = partitioned(tmp_path, corpus_web)
    reports = [ingest(whole(run, f"of{n}", processes=n)) for n in (1, 3)]
    assert reports[0].rejects == {"robots": 13} and reports[0].samples["train"] == 27
    assert digests(tmp_path / "of1") == digests(tmp_path / "of3")
    assert all(report.fetched_bytes > 0 and report.slowest_hosts[0].host == "127.0.0.1" for report in reports)
    ledger = pa.concat_tables(pq.read_table(path) for path in (tmp_path / "of3/ledger").iterdir())
    assert len(ledger) == 40


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_asks_goes_on(
    tmp_path: Path, webs: list[Liar], corpus_web: list[str], runs: ForkedRuns
) -> None:
    run = partitioned(tmp_path, corpus_web)
    ingest(whole(run, "undisturbed"))
    before = Counter({web.port: web.hits["/robots.txt"] for web in webs})
    answers = ["answers/000000.parquet", "answers/000000.json"]
    kills = ["half:origins/000003", "after:hosts/000000", "half:hosts/done"]
    kills += [f"{when}:{step}" for step in answers for when in ("half", "after")]
    for kill in [*kills, "half:rules/000002", "after:done"]:
        config = whole(run, "killed", spool=str(tmp_path / "killed-spool"))
        done = run_deadly(runs, tmp_path, config, kill.replace(":", ":parts/robots/"))
        assert done.returncode == -signal.SIGKILL, (kill, done.stderr)
    ingest(whole(run, "killed"))
    assert digests(tmp_path / "killed") == digests(tmp_path / "undisturbed")
    asked = Counter({web.port: web.hits["/robots.txt"] for web in webs}) - before
    assert set(asked.values()) == {4}  # for each kill until the mark of the answers was there, and never again


def test_the_answers_are_there_to_be_looked_at(tmp_path: Path, webs: list[Liar]) -> None:
    run = partitioned(tmp_path, [webs[0].url("/a.jpg")])
    begun = datetime.now(UTC)
    run.ask()
    (row,) = read_table(run.store.read(answers_file(0))).to_pylist()
    assert begun - timedelta(seconds=1) <= row["fetched_at"] <= datetime.now(UTC) and row["seconds"] > 0
    assert (row["origin"], row["http_status"], row["reason"]) == (origin(webs[0]), 404, None)


def test_a_resumed_run_reads_the_markers_of_its_tasks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, store = counted_store(monkeypatch), Store("s3://corpus")
    config = IngestConfig(input=("x",), output=store.url)
    now = datetime.now(UTC).isoformat()
    asked = Asked(robots_stage.HOSTS, now, ["tagmill"], {"ok": robots_stage.HOSTS})
    for task in range(2500):
        driver.objects[asked_file(task)] = json.dumps(dataclasses.asdict(asked)).encode()
        driver.objects[answers_file(task)] = b""
    driver.together, driver.gated = 32, ".json"
    found = robots_stage._ask_all(config, store, [robots_stage.HOSTS] * 2500, Silent(), robots_stage.ask_in_processes)
    assert found.hosts == 2500 * robots_stage.HOSTS and found.outcomes == {"ok": found.hosts}
    assert driver.counts == {"page": 5, "read": 2500}
    del driver.objects[asked_file(1)]
    before = list(robots_stage._asked_before(store, 2501))
    assert [number for number, each in enumerate(before) if each is None] == [1, 2500]


def test_rules_of_all_parts_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, store = counted_store(monkeypatch), Store("s3://corpus")
    driver.together, driver.gated = 32, "rules/"
    listed = {"origin": "http://h", "reason": None, "detail": None, "rules": "Disallow: /", "kept": ""}
    with closing(DuckDB(tmp_path, memory_limit="300MB", threads=1)) as sql:
        parts = [number for number in range(300) if number != 7]
        rows = [{"part": part, **listed} for part in parts for _ in range(2)]
        monkeypatch.setattr(sql, "run", lambda name: iter([pa.RecordBatch.from_pylist(rows)]))
        robots_stage._put_rules(sql, store)
    assert sorted(driver.objects) == [rules_file(part) for part in parts] and driver.counts == {"put": 299}
    assert read_table(driver.objects[rules_file(299)])["rules"].to_pylist() == ["Disallow: /"] * 2


def test_tables_know_the_sizes_of_their_objects(
    tmp_path: Path, webs: list[Liar], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: dict[str, Parquet] = {}
    bind_once = DuckDB.bind_once

    def noted(self: DuckDB, name: str, source: Parquet) -> None:
        bound[name] = source
        bind_once(self, name, source)

    monkeypatch.setattr(DuckDB, "bind_once", noted)
    webs[0].answers["/robots.txt"] = robots("User-agent: *\nDisallow:")
    run = partitioned(tmp_path, [f"{origin(webs[0])}/{number}" for number in range(12)], rows_per_part=4)
    run.ask()
    assert bound.keys() == {"origins", "answers"}
    for table in bound.values():
        assert table.names and list(table.sizes) == [run.store.size(name) for name in table.names]
