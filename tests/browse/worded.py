"""Makes small corpora with every table that a person looks at, in which each text of the web is one that the test gives."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagmill.ingest.dedup.decontamination import MATCHES
from tagmill.ingest.filters.takedown_rules import url_digest
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.purge import record
from tagmill.shards.reader import whole_index
from tagmill.shards.side_tables import LEDGER, REJECTS
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import SAMPLE, Row
from tagmill.shards.view import ONE, put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.shards.writer import ShardWriter, publish
from tests.pipeline.corpora import picture

SIZES = (5, 4)  # samples of the two training shards
REPEATS = (ONE, 2 * ONE + ONE // 2, 0, ONE // 4, 3 * ONE, ONE, ONE, 2 * ONE, ONE)
LABELS = (0, 1, 0, 2, 1, 0, 0, 1, 0)  # of each sample; label 3 has none
DAMAGED = "not_an_image"


def key_of(number: int) -> str:
    return digest_of(number)[:32]


def digest_of(number: int) -> str:
    return hashlib.sha256(f"sample {number}".encode()).hexdigest()


def url_of(number: int, text: str = "") -> str:
    return f"http://host{number % 3}.example/{number}{text}"


def make_worded(folder: Path, text: str = "", *, report: bool = True, sizes: Sequence[int] = SIZES) -> Corpus:
    """Writes a corpus of nine samples, or of shards of other sizes, with rejects, a ledger, pairs with an evaluation set and a
    report."""
    store, entries, number = Store(str(folder)), list[ShardEntry](), 0
    for place, size in enumerate(sizes):
        with ShardWriter(f"{place:06d}", "train", folder / "spool") as writer:
            for _ in range(size):
                tags = (f"tag{number}", text)
                facts = Record(digest_of(number), (number,) * 4, 40, 32, 400, 320, tags, url_of(number, text))
                writer.add(facts, picture(number))
                number += 1
            entries.append(writer.finish())
        publish(store, folder / "spool", f"{place:06d}")
    manifest = put_manifest(store, entries)
    view = _put_view(store, entries, manifest, text)
    rejects = _rejects(text)
    store.put("rejects/000000.parquet", table_bytes(rejects, REJECTS))
    store.put("ledger/000000.parquet", table_bytes(_ledger(rejects, text), LEDGER))
    store.put("decontamination.parquet", table_bytes(_pairs(text), MATCHES))
    if report:
        store.put("report.json", json.dumps(_report(rejects, text)).encode())
    totals = {"rows": number + len(rejects), "samples": number, "rejects": len(rejects)}
    commit(store, CorpusFile(f"corpus {text}"[:200], manifest, totals, views={"default": view}))
    return Corpus.open(str(folder))


def _put_view(store: Store, entries: list[ShardEntry], manifest: Any, text: str) -> Any:
    recipe = {"labels": text}
    folder, starts = recipe_folder("default", recipe), np.cumsum([0, *(entry.samples for entry in entries)])
    places = np.arange(starts[-1]) % len(LABELS)  # labels and factors of the nine samples, over and over
    images, repeats = np.array(LABELS, np.int32)[places], np.array(REPEATS, np.int64)[places]
    lines = [
        put_shard_labels(
            *(store, folder, entry, images[start : start + entry.samples, None]),
            repeats[start : start + entry.samples],
            whole_index(store, entry),
        )
        for entry, start in zip(entries, starts.tolist(), strict=False)
    ]
    labels = [Label(n, f"label{n}{text}", (f"n{n:08d}",), (text,), {}, int((images == n).sum())) for n in range(4)]
    return put_view(store, "default", recipe, manifest, Vocabulary(tuple(labels)), lines, max_labels=1, seed=0)


def _rejects(text: str) -> list[dict[str, Any]]:
    def row(row_id: int, reason: str, **facts: Any) -> dict[str, Any]:
        return {"row_id": row_id, "reason": reason, "url": url_of(row_id, text), "detail": text, **facts}

    copies = [row(100 + n, "duplicate", tags=[f"copy{n}", text], yields_to=key_of(n % 2)) for n in range(4)]
    near = [row(110 + n, "near_duplicate", tags=[f"near{n}", text], yields_to=key_of(5)) for n in range(2)]
    refused = [row(120, "blocked", url=None, detail="blocked-detail"), row(121, "taken_down", url=None)]
    return [*copies, *near, *refused, *(row(130 + n, DAMAGED) for n in range(5)), row(140, "evaluation")]


def _ledger(rejects: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    def row(row_id: int, status: str) -> dict[str, Any]:
        return {"row_id": row_id, "status": status, "seconds": 0.5, "host": f"host{row_id % 3}.example{text}"}

    return [*(row(number, "ok") for number in range(9)), *(row(each["row_id"], each["reason"]) for each in rejects)]


def _pairs(text: str) -> list[dict[str, Any]]:
    facts = {"set": f"set{text}", "evaluation_name": f"name{text}", "distance": 3, "same_bytes": False}
    return [{**facts, "key": key_of(2), "row_id": 2}, {**facts, "key": "f" * 32, "row_id": 140}]


def _report(rejects: Sequence[dict[str, Any]], text: str) -> dict[str, Any]:
    reasons = [each["reason"] for each in rejects]
    return {
        "rows": 9 + len(rejects),
        "samples": {"train": 9, "holdout": 0},
        "rejects": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        "seconds": {"fetch": 12.5, "pack": 0.25},
        "sets": {"near": {"predicted": [1.0, 0.9, 0.5]}, "pairs": {"3": 2}, "evaluation": {f"set{text}": {"found": 2}}},
        "few_labels": {"why": text, "remedy": text},
    }


def take_down_sample(corpus: Corpus, number: int) -> Corpus:
    """Lists a sample by its URL, as the command does, and returns the corpus after it."""
    shard, ordinal = (0, number) if number < SIZES[0] else (1, number - SIZES[0])
    rule = Row(kind="url", value=url_digest(url_of(number)), at="2026-01-01")
    sample = Row(kind=SAMPLE, value=key_of(number), shard=f"{shard:06d}", ordinal=ordinal, by="url", at="2026-01-01")
    return record(corpus, [rule, sample])
