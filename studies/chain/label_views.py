"""The views of true labels: all of them, a few of each class to learn from, and those that decide between learning rates."""

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import ConfigError, Corpus
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.plan.study_views import ViewFacts, facts_of
from tagmill.transfer.outcome.canonical import canonical_json

VALIDATION_SHARE = 10
"""One training sample with a true label in this many is for validation."""


@dataclass(frozen=True)
class LabelViews:
    """The views; all have the classes of the base view."""

    true: ViewFacts
    few: ViewFacts
    validation: ViewFacts
    validation_keys: tuple[str, ...]  # ascending; no network may learn from these samples


def for_validation(key: str) -> bool:
    """Returns whether a training sample is for validation. A key is the start of a SHA-256, so its last digits choose at
    random."""
    return int(key[-8:], 16) % VALIDATION_SHARE == 0


def label_views(corpus: str, base: str, table: str, shots: int, progress: Progress) -> LabelViews:
    """Makes the views of a Parquet table with the columns key and label, or finds them. Of each label, `few` has the first
    `shots` keys of those training samples that are not for validation. Raises ConfigError for a table without them."""
    rows = pq.read_table(table, columns=["key", "label"])
    held_out = _held_out(corpus)
    learnt, validation = defaultdict[object, list[str]](list), set[str]()
    for key, label in zip(rows["key"].to_pylist(), rows["label"].to_pylist(), strict=True):
        if key in held_out:
            continue
        if for_validation(key):
            validation.add(key)
        else:
            learnt[label].append(key)
    few = {key for keys in learnt.values() for key in sorted(keys)[:shots]}
    if not few or not validation:
        what = f"{len(few):,} labels to learn from and {len(validation):,} for validation"
        raise ConfigError(what, table, "give true labels of more training samples")
    true, some, judged = (
        _view(corpus, base, name, rows, keys, progress)
        for name, keys in (("true", None), ("few", few), ("validation", validation))
    )
    return LabelViews(true, some, judged, tuple(sorted(validation)))


def _held_out(corpus: str) -> frozenset[str]:
    opened = Corpus.open(corpus)
    names = [f"{entry.name}.parquet" for entry in opened.entries if entry.split == "holdout"]
    shards = opened.store.within("shards")
    return frozenset(
        key
        for name in names
        for key in pq.read_table(pa.BufferReader(shards.read(name)), columns=["key"])["key"].to_pylist()
    )


def _view(corpus: str, base: str, what: str, rows: pa.Table, keys: set[str] | None, progress: Progress) -> ViewFacts:
    kept = rows if keys is None else rows.filter(pc.is_in(rows["key"], pa.array(sorted(keys), pa.string())))
    opened = Corpus.open(corpus)
    asked = {
        "base": facts_of(opened, base).classes,
        "taken_down": opened.takedown.samples_sha256,
        "manifest": opened.file.manifest.sha256,
        "rows": kept.sort_by([("key", "ascending"), ("label", "ascending")]).to_pydict(),
    }
    name = f"teach-{what}-{sha256_hex(canonical_json(asked))[:8]}"
    if name not in opened.file.views:
        with tempfile.TemporaryDirectory(prefix="tagmill-") as folder:
            pq.write_table(kept, Path(folder, "labels.parquet"))
            view(
                ViewConfig(
                    corpus=corpus,
                    name=name,
                    labels=str(Path(folder, "labels.parquet")),
                    vocabulary=f"{corpus}#{base}",
                    processes=1,
                ),
                progress,
            )
    return facts_of(Corpus.open(corpus), name)
