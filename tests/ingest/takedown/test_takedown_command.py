"""`tagmill corpus takedown`: what each kind of list finds, and that it is listed, removed, and left out of later views."""

import io
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill import cli
from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.takedown.takedown_command import TakedownConfig, find_taken, take_down
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.formats.record import Record, sha256_hex
from tagmill.shards.lint import lint_shard
from tagmill.shards.manifest import Corpus, CorpusFile, commit, put_manifest
from tagmill.shards.side_tables import LEDGER, REJECTS
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tagmill.shards.writer import ShardWriter, publish
from tests.ingest.forked import ForkedRuns
from tests.ingest.takedown.dying import AT
from tests.shards.exchange.exports import corpus_in, exported, wished

SIZES = {"000000": 6, "000001": 5, "holdout-000000": 3}
COPIES = {2: "https://copy.example/2", 8: "https://copy.example/8"}  # other URLs of a sample's bytes, which yield to it


def url(number: int) -> str:
    return f"http://h{number % 3}.example/{number}.jpg"


def digest(number: int) -> str:
    return sha256_hex(b"source %d" % number)


def pdq(number: int) -> tuple[int, int, int, int]:
    a, b, c, d = np.random.default_rng(number).integers(-(1 << 63), 1 << 63, 4).tolist()
    return a, b, c, d


def place(number: int) -> tuple[str, int]:
    for shard, size in SIZES.items():
        if number < size:
            return shard, number
        number -= size
    raise AssertionError(number)


def put(store: Store, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), file, compression="zstd", store_schema=False)
    store.put(name, file.getvalue())


def make(folder: Path) -> Corpus:
    """14 samples in three shards, two rejects that yield to some of them, a ledger, parts that were kept."""
    store, entries, number = Store(str(folder / "corpus")), [], 0
    for shard, size in SIZES.items():
        split = "holdout" if shard.startswith("holdout") else "train"
        with ShardWriter(shard, split, folder / "spool") as writer:
            for _ in range(size):
                tags = ("cat", f"secret{number}") if number % 2 else ("dog",)
                writer.add(
                    Record(digest(number), pdq(number), 8, 8, 8, 8, tags, url(number)), b"picture %d" % number * 40
                )
                number += 1
            entries.append(writer.finish())
        publish(store, folder / "spool", shard)
    copies = [
        {"row_id": 100 + n, "url": u, "reason": "duplicate", "tags": ["mine"], "yields_to": digest(n)[:32]}
        for n, u in COPIES.items()
    ]
    put(store, "rejects/000000.parquet", copies, REJECTS)
    rows = [*((n, url(n), "ok") for n in range(number)), *((100 + n, u, "duplicate") for n, u in COPIES.items())]
    put(store, "ledger/000000.parquet", [{"row_id": n, "url": u, "status": s, "host": "h"} for n, u, s in rows], LEDGER)
    store.put("parts/000000/attempt.parquet", b"pictures")
    commit(store, CorpusFile("test", put_manifest(store, entries), {"samples": number}))
    return Corpus.open(store.url)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make(tmp_path)


def listed(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / f"list-{len(list(tmp_path.iterdir()))}.txt"
    path.write_text("\n".join(lines))
    return str(path)


def down(corpus: Corpus) -> set[tuple[str, int]]:
    shards = Corpus.open(corpus.store.url).takedown.shards
    return {(shard, ordinal) for shard, ordinals in shards.items() for ordinal in ordinals.tolist()}


CASES: dict[str, tuple[dict[str, list[str]], set[int], dict[str, int]]] = {
    "key": ({"keys": [digest(3)[:32]]}, {3}, {"key": 1}),
    "sha256": ({"sha256": [digest(12).upper(), digest(77)]}, {12}, {"sha256": 1}),
    "url": ({"urls": ["HTTP://H1.example:80/4.jpg#x"]}, {4}, {"url": 1}),
    "host": ({"hosts": ["h2.example"]}, {2, 5, 8, 11}, {"host": 4}),
    "all below": ({"hosts": [".example"]}, set(range(14)), {"host": 14}),
    "a copy's URL": ({"urls": [COPIES[8]]}, {8}, {"duplicate": 1}),
    "copies' host": ({"hosts": ["copy.example"]}, {2, 8}, {"duplicate": 2}),
    "several": ({"keys": [digest(0)[:32]], "urls": [url(0), url(1)]}, {0, 1}, {"key": 1, "url": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_list_finds(corpus: Corpus, tmp_path: Path, case: str) -> None:
    lists, wanted, matched = CASES[case]
    files = {name: listed(tmp_path, *lines) for name, lines in lists.items()}
    before = Corpus.open(corpus.store.url).file
    tried = take_down(TakedownConfig(corpus=corpus.store.url, dry_run=True, **files), AT)  # type: ignore[arg-type]
    assert tried.matched == matched and Corpus.open(corpus.store.url).file == before
    found = take_down(TakedownConfig(corpus=corpus.store.url, note="asked", **files), AT)  # type: ignore[arg-type]
    assert down(corpus) == {place(number) for number in wanted}
    assert (found.matched, found.taken_down, found.purged) == (matched, len(wanted), 0)
    again = take_down(TakedownConfig(corpus=corpus.store.url, **files), AT)  # type: ignore[arg-type]
    assert (again.rules, again.matched, again.takedown) == (0, {}, found.takedown)
    rows = Corpus.open(corpus.store.url).takedown.table.to_pylist()
    assert all(row["at"] == "2026-01-02T03:04:05+00:00" for row in rows)
    assert {row["note"] for row in rows if row["kind"] != "sample"} == {"asked"}


def test_pictures_that_look_alike(corpus: Corpus, tmp_path: Path) -> None:
    near, far = list(pdq(5)), list(pdq(10))
    near[0] ^= (1 << 31) - 1
    far[3] ^= (1 << 32) - 1
    lines = ["".join(f"{word & (1 << 64) - 1:016x}" for word in words) for words in (near, far)]
    config = TakedownConfig(corpus=corpus.store.url, pdq=listed(tmp_path, *lines))
    assert take_down(config, AT).matched == {"pdq": 1} and down(corpus) == {place(5)}
    wider = TakedownConfig(corpus=corpus.store.url, pdq=config.pdq, pdq_distance=32)
    assert take_down(wider, AT).matched == {"pdq": 1} and down(corpus) == {place(5), place(10)}


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(0, 13)), st.sets(st.integers(0, 13)), st.integers(1, 4))
def test_in_whatever_pieces_tables_are_read(
    tmp_path_factory: pytest.TempPathFactory, by_key: set[int], by_url: set[int], rows: int
) -> None:
    corpus = make(tmp_path_factory.mktemp("pieces"))
    rules = [*(rule("key", digest(n)[:32]) for n in by_key), *(rule("url", url(n)) for n in by_url)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tagmill.ingest.takedown.takedown_command.ROWS_READ", rows)
        patch.setattr("tagmill.ingest.takedown.takedown_command.TABLE_READERS", 1)
        found = list(find_taken(corpus, Denylist(frozenset(rules))))
    assert [(match.shard, match.ordinal) for match in found] == [place(number) for number in sorted(by_key | by_url)]
    assert [match.key for match in found] == [digest(number)[:32] for number in sorted(by_key | by_url)]


def text_of(corpus: Corpus) -> bytes:
    """All that the corpus's tables, tars and lists say, uncompressed."""
    store, found = corpus.store, []
    for name in store.names(""):
        data = store.read(name)
        found.append(
            json.dumps(pq.read_table(io.BytesIO(data)).to_pylist(), default=str).encode()
            if name.endswith("parquet")
            else data
        )
    return b"\n".join(found)


def traces(text: bytes) -> set[int]:
    """Samples of which an address, a tag or a picture is left."""
    of = {n: [url(n).encode() + b'"', b'secret%d"' % n, b"picture %d" % n * 3, digest(n).encode()] for n in range(14)}
    for number, address in COPIES.items():
        of[number].append(address.encode())
    return {number for number, words in of.items() if any(word in text for word in words)}


def test_a_purge_leaves_no_trace_but_the_key(corpus: Corpus, tmp_path: Path) -> None:
    corpus.store.delete("parts/000000/attempt.parquet")
    assert traces(text_of(corpus)) == set(range(14))
    corpus.store.put("parts/000000/attempt.parquet", b"all pictures once more")
    config = TakedownConfig(corpus=corpus.store.url, urls=listed(tmp_path, url(1), COPIES[8]), purge=True)
    done = take_down(config, AT)
    assert (done.matched, done.taken_down, done.purged) == ({"duplicate": 1, "url": 1}, 2, 2)
    assert done.rows_erased == 4  # the ledger's of both and of the copy, and the copy's reject
    whole = Corpus.open(corpus.store.url)
    for entry in whole.entries:
        lint_shard(whole, entry)
    assert traces(text_of(whole)) == set(range(14)) - {1, 8}
    assert digest(1)[:32].encode() in text_of(whole) and not whole.store.names("parts")
    assert take_down(config, AT).rows_erased == 0


KILLS = ["corpus.json", "ledger/", "rejects/", "parts/purge/000001", "shards/000001.tar", "shards/000000.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_again_and_again_the_same_command_completes_it(tmp_path: Path, when: str, runs: ForkedRuns) -> None:
    whole, corpus = make(tmp_path / "whole"), make(tmp_path / "killed")
    hosts = listed(tmp_path, "h1.example", "copy.example")
    take_down(TakedownConfig(corpus=whole.store.url, hosts=hosts, purge=True), AT)
    for pattern in KILLS:
        done = runs.run("tests.ingest.takedown.dying:main", corpus.store.url, hosts, when, pattern, folder=tmp_path)
        assert done.returncode == -signal.SIGKILL, (pattern, done.stderr)
        listed_now = down(corpus)
        assert listed_now in (set(), down(whole)) and (listed_now or pattern == "corpus.json")
    take_down(TakedownConfig(corpus=corpus.store.url, hosts=hosts, purge=True), AT)
    now = Corpus.open(corpus.store.url)
    for entry in now.entries:
        lint_shard(now, entry)
    assert now.takedown.num_purged == len(down(whole)) == 7
    for name in whole.store.names(""):
        if name.startswith(("shards/", "rejects/", "ledger/", "parts/")):
            assert now.store.read(name) == whole.store.read(name), name


def test_a_view_that_is_made_later_leaves_them_out(corpus: Corpus, tmp_path: Path) -> None:
    before = view(ViewConfig(corpus=corpus.store.url, name="v", processes=1))
    take_down(TakedownConfig(corpus=corpus.store.url, hosts=listed(tmp_path, "h2.example")), AT)
    after = view(ViewConfig(corpus=corpus.store.url, name="v", processes=1))
    assert after.left_out == 4 and after.view != before.view
    later = View.open(Corpus.open(corpus.store.url), "v")
    assert later.file.recipe["takedown"] == Corpus.open(corpus.store.url).takedown.samples_sha256
    for number, (shard, size) in enumerate(SIZES.items()):
        shown = later.run(number, 0, 0, later.shard(number).counts[0]).tolist()
        assert shown == [ordinal for ordinal in range(size) if (shard, ordinal) not in down(corpus)]


def test_the_command(corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = listed(tmp_path, digest(3)[:32], digest(4)[:32])
    cli.main(["corpus", "takedown", corpus.store.url, "--keys", keys, "--note", "theirs", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["rules"], told["matched"], told["taken_down"], told["purged"]) == (2, {"key": 2}, 2, 0)
    cli.main(["corpus", "info", corpus.store.url])
    assert "2 samples taken down, 0 of them purged" in capsys.readouterr().out
    cli.main(["corpus", "takedown", corpus.store.url, "--dry-run"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "would be taken down none Samples that rules match" in shown and "warning: Nothing was changed" in shown
    cli.main(["corpus", "takedown", corpus.store.url])
    shown = " ".join(capsys.readouterr().out.split())
    assert "purged 0 Those of them" in shown and "warning: The bytes of 2 samples" in shown
    cli.main(["corpus", "takedown", corpus.store.url, "--purge"])
    out = capsys.readouterr().out
    shown = " ".join(out.split())
    assert "taken down 2 All listed samples" in shown and "purged 2 Those of them" in shown
    assert "cache" in shown and "old versions" in shown and "The bytes of" not in shown
    assert max(map(len, out.splitlines())) <= 80
    cli.main(["corpus", "lint", corpus.store.url, "--json"])
    assert json.loads(capsys.readouterr().out)["purged"] == 2


def test_what_cannot_be_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to take down"):
        take_down(TakedownConfig(corpus=corpus.store.url, purge=True), AT)
    with pytest.raises(ConfigError, match="line 2"):
        take_down(TakedownConfig(corpus=corpus.store.url, keys=listed(tmp_path, "a" * 32, "b")), AT)
    with pytest.raises(ConfigError, match="pdq_distance"):
        TakedownConfig(corpus=corpus.store.url, pdq_distance=257)
    with pytest.raises(TagmillError, match="no corpus here"):
        take_down(TakedownConfig(corpus=str(tmp_path), keys=listed(tmp_path, "a" * 32)), AT)
    assert Corpus.open(corpus.store.url).file.takedown is None


def test_exports_with_the_samples_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_in(tmp_path)
    exported(tmp_path)
    keys = listed(tmp_path, wished(1).key, wished(13).key)
    cli.main(["corpus", "takedown", corpus.store.url, "--keys", keys])
    shown = "".join(capsys.readouterr().out.split())
    assert f"{tmp_path / 'parquet'}:atmost2samples" in shown
    exported(tmp_path)
    cli.main(["corpus", "takedown", corpus.store.url, "--keys", keys, "--json"])
    assert json.loads(capsys.readouterr().out)["exports"] == []
