"""A corpus of drawn images whose tags say what they show, for tests of studies."""

import hashlib
from pathlib import Path

import numpy as np

from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import ShardWriter, publish
from tests.transfer.drawn_set import drawn_jpeg

WORDS = ("cat", "pizza", "sailboat", "owl", "teapot", "windmill")
SIDE = 40


def tagged_pictures(folder: Path, train: int = 240, holdout: int = 96) -> str:
    """Writes a corpus of two training shards and a held-out one, with the view `default`; returns its path. Labels fall in
    frequency: the first word has most images."""
    rng, store, entries = np.random.default_rng(0), Store(str(folder)), list[ShardEntry]()
    shares = 1 / np.arange(2, len(WORDS) + 2)
    number = 0
    for name, split, size in (
        ("000000", "train", train // 2),
        ("000001", "train", train - train // 2),
        ("holdout-000000", "holdout", holdout),
    ):
        with ShardWriter(name, split, folder / "spool") as writer:  # type: ignore[arg-type]
            for _ in range(size):
                label = (
                    number % len(WORDS) if split == "holdout" else int(rng.choice(len(WORDS), p=shares / shares.sum()))
                )
                digest = hashlib.sha256(b"drawn %d" % number).hexdigest()
                record = Record(digest, (0, 0, 0, 0), SIDE, SIDE, SIDE, SIDE, (WORDS[label],))
                writer.add(record, drawn_jpeg(label, len(WORDS), rng, SIDE))
                number += 1
            entries.append(writer.finish())
        publish(store, folder / "spool", name)
    manifest = put_manifest(store, entries)
    commit(store, CorpusFile("drawn", manifest, {"samples": number, "train": train, "holdout": holdout}))
    view(ViewConfig(corpus=store.url, name="default", processes=1, vocabulary="nouns", min_count=2))
    return store.url


RECIPE = """
model = "test_resnet"
size = 32
batch_size = 16
steps = 6
lr = 0.05
warmup_steps = 2
streams = 2
chunk = 4
log_every = 2
checkpoint_every = 2
ema = 32
device = "cpu"
backend = "cpu"
"""
