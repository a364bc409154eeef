"""Accuracy where evaluation images that training has seen count as errors, and accuracy without them.

Mahajan et al. count each test image with a near duplicate among the training images as an error (a lower bound); BiT reports
accuracy on the test set without these images (Table 7). The pairs are those that ingest listed in the corpus's tables
(`--evaluation-set`), which name removed and marked images alike: a pair counts only if its image is a sample that the view
trains on. A sample that was taken down later counts too, as it may have been trained on before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards import ConfigError, Corpus, CorpusError, View
from tagmill.shards.reader import ShardReader
from tagmill.shards.side_tables import SIDE_ROWS, label, num_runs
from tagmill.transfer.outcome.bound_ends import BoundEnds, bound_ends
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at

PAIRS = "decontamination"  # stem of ingest's tables of pairs
_COLUMNS = ["set", "evaluation_name", "key"]
_BLOCK = 1 << 18  # samples whose keys are read at a time


@dataclass(frozen=True)
class SeenImages:
    """The images of an evaluation set that a view's training samples equal, or are near to."""

    names: frozenset[str]
    listed: frozenset[str]  # those in any pair, also with images that are not trained on
    pairs: int  # listed of the set
    trained_pairs: int  # with a training sample of the view


@dataclass(frozen=True)
class LowerBound:
    """Top-1 accuracy of an outcome, as correct images of all."""

    images: int
    correct: int
    seen: int  # images of the outcome with a near duplicate that was trained on
    seen_correct: int  # of these
    not_in_outcome: int  # images with a near duplicate that the outcome does not have
    ends: BoundEnds  # of the intervals of the three shares

    @property
    def accuracy(self) -> float:
        """Share of correct images."""
        return self.correct / self.images

    @property
    def lower(self) -> float:
        """Share of correct images, where those that were seen count as errors."""
        return (self.correct - self.seen_correct) / self.images

    @property
    def deduplicated(self) -> float | None:
        """Share of correct images among those that were not seen; None where all were."""
        rest = self.images - self.seen
        return (self.correct - self.seen_correct) / rest if rest else None


def seen_images(corpus: Corpus, view: str, evaluation_set: str) -> SeenImages:
    """Reads the pairs of an evaluation set and keeps those whose image the view trains on. Raises CorpusError for a view that
    does not exist, and ConfigError for a corpus that was not compared with this set."""
    opened = View.open(corpus, view)
    tables = [f"{label(run, PAIRS)}.parquet" for run in range(num_runs(corpus.file))]
    tables = [name for name in tables if corpus.store.exists(name)]
    if not tables:
        remedy = "make the corpus with --evaluation-set, and --evaluation mark to only list the pairs"
        raise ConfigError("a corpus that was not compared with any evaluation set", corpus.store.url, remedy)
    pairs, others = list[tuple[str, str]](), set[str]()
    for name in tables:
        for found, image, key in _rows(corpus, name):
            if found == evaluation_set:
                pairs.append((image, key))
            else:
                others.add(found)
    if not pairs and others:
        known = ", ".join(sorted(others)[:5])
        raise ConfigError(f"no pair of the evaluation set {evaluation_set!r}", corpus.store.url, f"it has: {known}")
    trained = trained_keys(corpus, opened, {key for _, key in pairs})
    names = frozenset(image for image, key in pairs if key in trained)
    return SeenImages(
        names, frozenset(image for image, _ in pairs), len(pairs), sum(key in trained for _, key in pairs)
    )


def trained_keys(corpus: Corpus, view: View, keys: set[str]) -> set[str]:
    """Returns those of `keys` whose sample is in the train split and has a copy in some epoch of the view. Reads the shards'
    indexes, in blocks. Raises CorpusError for tables that disagree."""
    found = set[str]()
    try:
        fronts = np.array(sorted({int(key[:16], 16) for key in keys}), np.uint64)
    except ValueError as error:
        raise CorpusError(
            f"a pair whose key is none: {error}", corpus.store.url, "restore the tables of pairs"
        ) from error
    if not len(fronts):
        return found
    for number in range(corpus.table.num_rows):
        entry = corpus.entry(number)
        if entry.split != "train":
            continue
        reader = ShardReader.of(corpus, entry)
        for start in range(0, entry.samples, _BLOCK):
            stop = min(start + _BLOCK, entry.samples)
            index = np.ascontiguousarray(reader.index(start, stop)["key"])
            first = index.view(">u8")[:, 0].astype(np.uint64)  # 8 of 16 bytes
            near = np.flatnonzero(np.isin(first, fronts))
            met = [place for place in near.tolist() if bytes(index[place]).hex() in keys]
            if met:
                copies = set(_with_copies(view, number).tolist())
                found |= {bytes(index[place]).hex() for place in met if start + place in copies}
    return found


def lower_bound(outcome: Outcome, seen: SeenImages, seed: int = 0) -> LowerBound:
    """Counts the images of an outcome whose key is one of the seen images. Intervals are Wilson's where images are
    independent, and by bootstrap (`seed`) where the outcome has groups of several images: which images were seen is taken as
    given, and belongs to an image that is drawn. Raises ConfigError for an outcome without images, and where no image of any
    pair is in it: its keys are then not the names of the evaluation set."""
    if not len(outcome.keys):
        raise ConfigError("an outcome without images", outcome.set, "give one with some")
    keys = set(outcome.keys.tolist())
    if seen.listed and keys.isdisjoint(seen.listed):
        example = sorted(seen.listed)[0]
        what = f"none of the {len(seen.listed):,} images of the pairs, such as {example!r:.80}, is in the outcome"
        raise ConfigError(what, outcome.set, "give the folder or tar that was the evaluation set, with the same names")
    correct = right_at(outcome)[:, 0]
    met = np.array([key in seen.names for key in outcome.keys.tolist()], np.bool_)
    return LowerBound(
        images=len(outcome.keys),
        correct=int(correct.sum()),
        seen=int(met.sum()),
        seen_correct=int((met & correct).sum()),
        not_in_outcome=len(seen.names - keys),
        ends=bound_ends(outcome, correct, met, seed),
    )


def _rows(corpus: Corpus, name: str) -> Iterator[tuple[str, str, str]]:
    try:
        with corpus.store.open(name) as file:
            reader = pq.ParquetFile(file, pre_buffer=False)
            for batch in reader.iter_batches(SIDE_ROWS, columns=_COLUMNS, use_threads=False):
                yield from zip(*(batch[column].to_pylist() for column in _COLUMNS), strict=True)
    except (pa.ArrowException, KeyError) as error:
        raise CorpusError(f"not a table of pairs: {error}", f"{corpus.store.url}/{name}", "restore it") from error


def _with_copies(view: View, shard: int) -> npt.NDArray[np.int64]:
    """Returns the ordinals of a shard's samples with a copy in some epoch, ascending."""
    line = view.shard(shard)
    whole = view.run(shard, 0, 0, line.counts[0]) if line.counts else np.empty(0, np.uint32)
    return np.union1d(whole, view.fractional(shard)).astype(np.int64)
