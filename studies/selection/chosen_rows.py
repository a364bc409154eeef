"""Which images are chosen for which class, found by statements of the SQL engine over a table of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.labels.synsets import SynsetSet
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.protocol import Progress
from tagmill.studies.selection.cutoffs import ClassScores, class_scores

SelectionRule = Literal["balanced", "unbalanced", "tags"]

SCORED = pa.schema([("key", pa.string()), ("label", pa.int32()), ("score", pa.int32())])  # the table that is bound
LOWEST = pa.schema([("label", pa.int32()), ("score", pa.int32()), ("room", pa.int64())])
CUTOFFS = pa.schema([("label", pa.int32()), ("chosen", pa.int64()), ("score", pa.int32()), ("last_key", pa.string())])


@dataclass(frozen=True)
class ClassCount:
    """What was chosen of one class."""

    available: int  # images with a score of the class
    images: int = 0  # chosen
    best: int = 0  # scores of the chosen ones, units of 2^-16
    last: int = 0


@dataclass(frozen=True)
class Chosen:
    """What was chosen. The rows are the engine's table `label_rows`: key, label (of the view) and score."""

    counts: tuple[ClassCount, ...]  # of each class, in the order of the view's labels
    rows: int
    images: int  # distinct


def choose_rows(engine: Engine, labels: Sequence[int], k: int, *, ranked_together: bool, progress: Progress) -> Chosen:
    """Chooses images from the tables `scored` (schema SCORED) and `left_out` (column key: samples that may not be chosen).

    `labels` are the classes' numbers in `scored`, in the order of the view's labels. Each class gets its `k` best images,
    those of equal score by ascending key. With `ranked_together` the same number of images is chosen, best first by
    their best score over all classes, each with every class that is ranked at or above the last of them. Leaves the
    engine's table `label_rows`. Raises ConfigError where no class has a score.
    """
    progress.stage("select: count scores")
    scores = class_scores(engine.run("score_counts"), k)
    if not any(label in scores for label in labels):
        raise ConfigError(
            "no image has a score of a class", "selection", "score the corpus with a teacher that has them"
        )
    progress.stage("select: choose")
    cutoffs = {label: scores[label].cutoff for label in labels if label in scores}
    _choose(engine, labels, cutoffs, _tied_keys(engine, labels, scores))
    if ranked_together:
        (images,) = engine.run("chosen_images").read_all()["images"].to_pylist()
        _choose_together(engine, labels, images, progress)
    (images,) = engine.run("chosen_images").read_all()["images"].to_pylist()
    found = {row["label"]: row for row in engine.run("chosen_counts").read_all().to_pylist()}
    counts = []
    for number, label in enumerate(labels):
        count = ClassCount(scores[label].images if label in scores else 0)
        row = found.get(number)
        counts.append(
            count if row is None else replace(count, images=row["images"], best=row["best"], last=row["last"])
        )
    return Chosen(tuple(counts), sum(each.images for each in counts), images)


def _tied_keys(engine: Engine, labels: Sequence[int], scores: Mapping[int, ClassScores]) -> dict[int, str]:
    """Returns the last chosen key of each class in which not all images of the lowest score are chosen."""
    tied = [(label, scores[label]) for label in labels if label in scores and scores[label].divided]
    columns = [[label for label, _ in tied], [each.lowest for _, each in tied], [each.room for _, each in tied]]
    engine.bind("lowest", pa.table(columns, schema=LOWEST))
    rows = engine.run("tied_keys").read_all().to_pylist() if tied else []
    return {row["label"]: row["last_key"] for row in rows}


def _choose(engine: Engine, labels: Sequence[int], cutoffs: Mapping[int, int], last_keys: Mapping[int, str]) -> None:
    """Chooses images above the cut-off of each class, and those at it up to its last key."""
    rows = [
        (label, place, cutoffs[label], last_keys.get(label, ""))
        for place, label in enumerate(labels)
        if label in cutoffs
    ]
    engine.bind("cutoffs", pa.table([list(column) for column in zip(*rows, strict=True)], schema=CUTOFFS))
    engine.keep("label_rows", "chosen_rows")


def _choose_together(engine: Engine, labels: Sequence[int], images: int, progress: Progress) -> None:
    """Chooses `images` images by their best score: all classes have one cut-off."""
    progress.stage("select: rank all images")
    engine.keep("best_scores", "best_scores")
    counts = engine.run("best_counts").read_all()
    whole = pa.table(
        [pa.nulls(len(counts), pa.int32()).fill_null(0), counts["score"], counts["images"]],
        ["label", "score", "images"],
    )
    found = class_scores(whole.to_batches(), images)[0]
    assert found.lowest is not None, "as many images have a best score as were chosen"
    (last,) = engine.run("last_best", score=found.lowest, room=found.room).read_all()["last_key"].to_pylist()
    _choose(engine, labels, dict.fromkeys(labels, found.lowest), dict.fromkeys(labels, last))


@dataclass(frozen=True)
class ChosenTable:
    """The rows that were chosen as the labels of a view: see `LabelTable`."""

    where: str
    facts: Mapping[str, Any]  # what the view's recipe has of the selection

    def bind(self, engine: Engine, classes: Mapping[SynsetSet, str]) -> None:
        """`choose_rows` has left the table."""

    def recipe(self) -> Mapping[str, Any]:
        return {"kind": "selection", **self.facts}
