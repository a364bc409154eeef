"""Makes small corpora whose images are random bytes: the code under test never decodes an image."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.reader import whole_index
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.shards.writer import ShardWriter, publish

EXTRA = pa.schema([("caption", pa.string()), ("score", pa.float64())])
VOCABULARY = Vocabulary(
    (
        Label(0, "bear", ("n02131653",), ("bear",), {"bear": 3, "bears": 1}, 4),
        Label(1, "crane", ("n02012849", "n03126707"), ("crane",), {"crane": 2}, 2),
        Label(2, "oak", ("n12268246",), ("oak", "oak_tree"), {"oak": 1}, 1),
    ),
    source={"min_count": 1},
)


@dataclass(frozen=True)
class Sample:
    record: Record
    jpeg: bytes


def sample(number: int, size: int | None = None, **facts: object) -> Sample:
    """Returns sample `number`, always the same, of `size` bytes."""
    draw = np.random.default_rng(number)
    content = draw.bytes(int(draw.integers(1, 3000)) if size is None else size)
    defaults: dict[str, object] = {
        "sha256": hashlib.sha256(b"source %d" % number).hexdigest(),
        "pdq": (number, -number, 1 << 62, -(1 << 63)),
        "width": 100 + number,
        "height": 80,
        "original_width": 1000,
        "original_height": 800,
        "tags": ("bear", f"tag{number}"),
        "url": f"http://127.0.0.1/{number}.jpg",
        "extra": {"caption": f"caption {number}", "score": number / 4},
    }
    return Sample(Record(**{**defaults, **facts}), content)  # type: ignore[arg-type]


def write_shard(
    spool: Path, name: str, samples: Sequence[Sample], split: str = "train", extra: pa.Schema = EXTRA
) -> ShardEntry:
    with ShardWriter(name, split, spool, extra) as writer:
        for each in samples:
            writer.add(each.record, each.jpeg)
        return writer.finish()


def make_corpus(
    url: str, spool: Path, sizes: Sequence[int] = (5, 7), holdout: Sequence[int] = (3,), *, facts: bool = True
) -> Corpus:
    """Writes a corpus with a `default` view whose repeats are whole, fractional and 0 in turn, to any store."""
    store, number, entries = Store(url), 0, []
    for place, size in enumerate([*sizes, *holdout]):
        held = place >= len(sizes)
        name = f"holdout-{place - len(sizes):06d}" if held else f"{place:06d}"
        samples = [sample(number + i) for i in range(size)]
        entries.append(write_shard(spool, name, samples, "holdout" if held else "train"))
        publish(store, spool, name)
        number += size
    manifest = put_manifest(store, entries)
    recipe = {"manifest": manifest.sha256, "rule": "by number"}
    folder = recipe_folder("default", recipe)
    shards = [
        put_shard_labels(store, folder, entry, *labelling(entry.samples), whole_index(store, entry) if facts else None)
        for entry in entries
    ]
    view = put_view(store, "default", recipe, manifest, VOCABULARY, shards, max_labels=2, seed=11)
    commit(store, CorpusFile("test", manifest, {"samples": number}, {"default": view}))
    return Corpus.open(url)


def labelling(count: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Returns labels [count, 2] and repeats [count] of a shard of `count` samples."""
    numbers = np.arange(count)
    labels = np.stack([numbers % 3, np.full(count, -1)], axis=1).astype(np.int32)
    repeats = np.array([ONE, 0, ONE // 2, 2 * ONE + ONE // 3], np.int64)[numbers % 4]
    return labels, repeats
