"""Makes small corpora whose samples have tags, with duplicates that yield to some: all that a view looks at."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.side_tables import REJECTS
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import ShardWriter, publish

Tags = Sequence[str]


@dataclass(frozen=True)
class Tagged:
    """A corpus and what it was made from, sample after sample in corpus order."""

    corpus: Corpus
    entries: list[ShardEntry]
    keys: list[str]
    splits: list[str]
    unions: list[dict[str, int]]  # by sample, how many of its rows carry each tag


def digest(number: int) -> str:
    return hashlib.sha256(b"sample %d" % number).hexdigest()


def make(
    folder: Path,
    train: Sequence[Sequence[Tags]],
    holdout: Sequence[Sequence[Tags]] = (),
    duplicates: Sequence[tuple[int, Tags]] = (),
) -> Tagged:
    """A list of shards, each a list of samples' tags, by split; duplicates are (number of the sample, tags)."""
    store, entries, keys, splits, unions = Store(str(folder / "corpus")), [], [], [], []
    for split, shards in (("train", train), ("holdout", holdout)):
        for place, samples in enumerate(shards):
            name = f"{place:06d}" if split == "train" else f"holdout-{place:06d}"
            with ShardWriter(name, split, folder / "spool") as writer:
                for tags in samples:
                    record = Record(digest(len(keys)), (0, 0, 0, 0), 8, 8, 8, 8, tuple(tags))
                    writer.add(record, b"jpeg %d" % len(keys))
                    keys.append(record.key)
                    splits.append(split)
                    unions.append(dict.fromkeys(tags, 1))
                entries.append(writer.finish())
            publish(store, folder / "spool", name)
    rows = [
        {"row_id": 1000 + n, "reason": "duplicate", "tags": list(tags), "yields_to": keys[number]}
        for n, (number, tags) in enumerate(duplicates)
    ]
    for number, tags in duplicates:
        for tag in set(tags):
            unions[number][tag] = unions[number].get(tag, 0) + 1
    rows.append({"row_id": 1, "reason": "not_found", "tags": ["cat"], "yields_to": None})
    for name, part in (("000000", rows[::2]), ("000001", rows[1::2])):
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(part, REJECTS), file)
        store.put(f"rejects/{name}.parquet", file.getvalue())
    manifest = put_manifest(store, entries)
    commit(store, CorpusFile("test", manifest, {"samples": len(keys)}))
    return Tagged(Corpus.open(store.url), entries, keys, splits, unions)
