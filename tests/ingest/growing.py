"""A web that counts who is asked for, lists that overlap, and what a corpus of them must hold, worked out by brute force."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest import IngestConfig
from tagmill.shards.lint import lint_shard, lint_view
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View
from tests.ingest.smallweb import WORDS, Web, config, picture

Row = tuple[str | None, list[str]]
LAWFUL = ("shards", "manifests", "views", "rejects", "corpus.json")  # bytes that are a function of input and web alone


@dataclass
class CountingWeb:
    """A running web; `asked` are the paths that it was asked for."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)


@contextmanager
def counting_web() -> Iterator[CountingWeb]:
    found = CountingWeb()

    class Counting(Web):
        def do_GET(self) -> None:
            found.asked[self.path] += 1
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rows_of(web: str, which: str) -> list[Row]:
    """Three lists: each new one has URLs of before, copies of pictures of before, pictures and words of its own."""
    if which == "a":
        rows: list[Row] = [(f"{web}/picture/{n}", [WORDS[n % 3], WORDS[n % 4]]) for n in range(20)]
        return [*rows, (f"{web}/copy0/2", ["castle"]), (f"{web}/gone", ["lost"]), (None, ["nothing"])]
    if which == "b":
        rows = [(f"{web}/picture/{n}", [WORDS[4 + n % 4], "again"]) for n in range(12, 34)]
        rows += [(f"{web}/copy0/2#there", ["tulip"]), (f"{web}/copy1/3", ["castle", "boat"])]
        return [*rows, (f"{web}/copy1/30", ["boat"]), (f"{web}/copy2/30", ["ship"]), (f"{web}/gone", ["lost"])]
    rows = [(f"{web}/picture/{n}", ["dog", "violin"]) for n in range(30, 40)]
    return [*rows, (f"{web}/copy1/3", ["violin"]), (f"{web}/copy2/30", ["ship"]), (f"{web}/copy2/31", ["harp"])]


def write(folder: Path, web: str, which: str) -> str:
    path = folder / f"{which}.parquet"
    urls, tags = zip(*rows_of(web, which), strict=True)
    pq.write_table(pa.table({"url": urls, "tags": pa.array(tags, pa.list_(pa.string()))}), path)
    return str(path)


def settings(listing: str, output: Path | str, **changes: Any) -> IngestConfig:
    small = {"extra_columns": (), "holdout": 3, "shard_samples": 4, "host_failures": 100}
    return config(listing, output, **{**small, **changes})  # type: ignore[arg-type]


def digests(output: Path | str) -> dict[str, str]:
    store = Store(str(output))
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in store.names("") if name.startswith(LAWFUL)}


def number_of(url: str | None) -> int | None:
    """The picture behind a URL."""
    place = (url or "").partition("#")[0].rpartition("/")[2]
    return int(place) if place.isdigit() else None


def check(corpus: Corpus, lists: Sequence[Sequence[Row]], samples: Sequence[int], view: str = "default") -> None:
    """The corpus is whole and holds `samples`, numbers of pictures, with the labels of all rows that show them."""
    for entry in corpus.entries:
        lint_shard(corpus, entry)
    for name in corpus.file.views:
        lint_view(corpus, name)
    rows = [row for each in lists for row in each]
    key_of = {hashlib.sha256(picture(n)).hexdigest()[:32]: n for n in range(60)}
    tables = [read(corpus, f"shards/{entry.name}.parquet") for entry in corpus.entries]
    keys = [key for table in tables for key in table["key"].to_pylist()]
    assert sorted(key_of[key] for key in keys) == sorted(samples)
    rejects = pa.concat_tables([read(corpus, name) for name in corpus.store.names("rejects")]).to_pylist()
    ledger = pa.concat_tables([read(corpus, name) for name in corpus.store.names("ledger")]).to_pylist()
    totals = corpus.file.totals
    assert (totals["rows"], totals["samples"], totals["rejects"]) == (len(rows), len(keys), len(rejects))
    assert totals["train"] + totals["holdout"] == totals["samples"] and totals["shards"] == len(corpus.entries)
    assert totals["bytes"] == sum(entry.bytes for entry in corpus.entries)
    wanted = [number * (1 << 40) + place for number, each in enumerate(lists) for place in range(len(each))]
    assert sorted(row["row_id"] for row in ledger) == wanted
    assert len({row["row_id"] for row in rejects}) == len(rejects)
    for row in rejects:
        number = number_of(row["url"])
        assert (row["reason"] == "duplicate") == (number is not None) == (row["yields_to"] is not None)
        if number is not None:
            assert key_of[row["yields_to"]] == number and row["tags"] == rows_at(lists, row["row_id"])[1]
    check_labels(corpus, rows, key_of, tables, view)


def check_labels(
    corpus: Corpus, rows: Sequence[Row], key_of: dict[str, int], tables: Sequence[pa.Table], name: str
) -> None:
    view = View.open(corpus, name)
    ids = {token: label.id for label in view.vocabulary.labels for token in label.tokens}
    images: Counter[int] = Counter()
    for number, (entry, table) in enumerate(zip(corpus.entries, tables, strict=True)):
        labels = view.labels(number, 0, entry.samples)
        for key, found in zip(table["key"].to_pylist(), labels.tolist(), strict=True):
            tags = {tag for url, each in rows if number_of(url) == key_of[key] for tag in each}
            tokens = {tag.lower().lstrip("#") for tag in tags}
            mine = {label for label in found if label >= 0}
            assert mine == {ids[token] for token in tokens if token in ids}, (key_of[key], tokens)
            images.update(mine if entry.split == "train" else ())
    assert {label.id: label.images for label in view.vocabulary.labels} == {
        label.id: images[label.id] for label in view.vocabulary.labels
    }


def rows_at(lists: Sequence[Sequence[Row]], row_id: int) -> Row:
    return lists[row_id >> 40][row_id & (1 << 40) - 1]


def read(corpus: Corpus, name: str) -> pa.Table:
    with corpus.store.open(name) as file:
        return pq.ParquetFile(file).read()


def label_names(corpus: Corpus, view: str = "default") -> list[str]:
    return [label.name for label in View.open(corpus, view).vocabulary.labels]


def label_words(corpus: Corpus, view: str = "default") -> "np.ndarray[Any, Any]":
    """All labels of a view, shard after shard, [samples, K]."""
    found = View.open(corpus, view)
    return np.concatenate([found.labels(n, 0, entry.samples) for n, entry in enumerate(corpus.entries)])
