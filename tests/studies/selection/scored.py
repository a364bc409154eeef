"""Writes scores as a teacher leaves them, and chooses by brute force what a selection should."""

import io
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards import Corpus, Store
from tagmill.studies.scores.score_files import (
    DONE_FILE,
    FACTS_FILE,
    SCORES,
    ScoreFacts,
    ScoreTotals,
    facts_json,
    part_name,
    totals_json,
)
from tagmill.training.trained.labels import ModelLabel

Rows = list[tuple[str, int, int]]  # key, label, score
SETS = (("n02084071",), ("n02132136",), ("n12268246",), ("n02121620",))
LABELS = tuple(ModelLabel(name, own) for name, own in zip(("dog", "bear", "oak", "cat"), SETS, strict=True))


def write_scores(
    url: str,
    corpus: Corpus,
    rows: Rows,
    labels: Sequence[ModelLabel] = LABELS,
    top: int = 3,
    facts: Mapping[str, object] | None = None,
) -> str:
    """Writes complete scores in parts of four samples; `facts` override the usual ones."""
    store = Store(url)
    keys = list(dict.fromkeys(key for key, _, _ in rows))
    values: dict[str, object] = {
        "teacher": {"name": "a teacher", "digest": "0" * 64},
        "loss": "softmax",
        "labels": tuple(labels),
        "top": top,
        "corpus": {"name": corpus.file.name, "manifest": corpus.file.manifest.sha256},
        "split": "train",
        "samples": max(1, len(keys)),
        "part_samples": 4,
        "batch": 2,
        "device": "cpu",
    }
    written = ScoreFacts(**{**values, **(facts or {})})  # type: ignore[arg-type]
    store.put(FACTS_FILE, facts_json(written))
    for part in range(written.num_parts):
        own = set(keys[4 * part : 4 * part + 4])
        columns = list(zip(*[row for row in rows if row[0] in own], strict=True)) or [(), (), ()]
        file = io.BytesIO()
        pq.write_table(
            pa.table([pa.array(each, field.type) for each, field in zip(columns, SCORES)], schema=SCORES), file
        )
        store.put(part_name(part), file.getvalue())
    store.put(DONE_FILE, totals_json(ScoreTotals(len(keys), {}, len(rows), "1" * 64)))
    return url


def best_of_each(rows: Rows, k: int) -> Rows:
    """The k best rows of each label, of equal scores the first by key."""
    labels = sorted({label for _, label, _ in rows})
    ranked = sorted(rows, key=lambda row: (-row[2], row[0]))
    return [row for label in labels for row in [each for each in ranked if each[1] == label][:k]]


def best_of_all(rows: Rows, images: int) -> Rows:
    """Rows in order of score and key, until there are so many images; then those of the last score and key too."""
    ranked = sorted(rows, key=lambda row: (-row[2], row[0], row[1]))
    seen: set[str] = set()
    for key, _, score in ranked:
        seen.add(key)
        if len(seen) == images:
            return [row for row in ranked if (-row[2], row[0]) <= (-score, key)]
    return ranked


def in_the_view(rows: Rows, labels: Mapping[int, int]) -> list[tuple[str, int, int]]:
    """Rows with the labels of the view, in order."""
    return sorted((key, labels[label], score) for key, label, score in rows)
