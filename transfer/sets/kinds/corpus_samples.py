"""Reads a part of our own corpora as a labelled set: the labels are those of a view."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tagmill.shards import Corpus, Label, ShardReader, Unreadable, View
from tagmill.shards.formats.shard_index import INDEX, key_hex
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass
from tagmill.transfer.sets.set_files import the_part
from tagmill.transfer.sets.stored_images import check_set, digest_of

_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CorpusSet(LabelledSet):
    """Samples of a corpus that a view selects and that are not taken down."""

    corpus: Corpus = field(compare=False, repr=False)
    shards: _Ints = field(compare=False, repr=False)  # [n], numbers in the corpus order
    records: npt.NDArray[np.void] = field(compare=False, repr=False)  # [n], dtype INDEX

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the JPEG files; None for one that was altered, or purged since the corpus was opened."""
        wanted = sorted(range(len(places)), key=lambda turn: self._order(places[turn]))
        found: list[bytes | None] = [None] * len(places)
        for shard, turns in groupby(wanted, lambda turn: int(self.shards[places[turn]])):
            same = [*turns]
            once = sorted({places[turn] for turn in same}, key=self._order)
            reader = ShardReader.of(self.corpus, self.corpus.entry(shard))
            pictures = dict(zip(once, reader.pictures(self.records[once]), strict=True))
            for turn in same:
                picture = pictures[places[turn]]
                found[turn] = None if isinstance(picture, Unreadable) else picture
        return found

    def _order(self, place: int) -> tuple[int, int]:
        return int(self.shards[place]), int(self.records[place]["offset"])


def corpus_set(name: str, url: str, view: str, split: str | None) -> CorpusSet:
    """Returns the samples of a split, train or holdout, with the labels of a view; samples that the view excludes and those
    that are taken down are not among them. A label of one synset has it.

    Raises CorpusError for a corpus or view that does not exist, InputError for a split without samples, and where
    `check_set` does.
    """
    corpus = Corpus.open(url)
    labels = View.open(corpus, view)
    parts = sorted({corpus.entry(number).split for number in range(len(corpus.table))})
    meant = the_part(split, parts, url)
    classes = tuple(map(_class_of, labels.vocabulary.labels))
    examples, shards = list[Example](), list[_Ints]()
    records = [np.empty(0, INDEX)]
    for number in corpus.shards_of(meant):
        reader = ShardReader.of(corpus, corpus.entry(number))
        selected = _selected(labels, number, reader)
        index = reader.index(0, reader.entry.samples)[selected]
        rows = labels.labels(number, 0, reader.entry.samples)[selected]
        examples += [*_examples(index, rows)]
        shards.append(np.full(len(index), number, np.int64))
        records.append(index)
    check_set(classes, examples, url)
    joined = np.concatenate(records)
    digest = digest_of(
        classes, examples, (f"{size} {crc}" for size, crc in zip(joined["size"], joined["crc32"], strict=True))
    )
    return CorpusSet(name, url, classes, examples, digest, corpus, np.concatenate(shards), joined)


def _class_of(label: Label) -> SetClass:
    return SetClass(label.name, label.synsets[0] if len(label.synsets) == 1 else None)


def _selected(view: View, shard: int, reader: ShardReader) -> _Ints:
    """Returns the ordinals that a view shows at all and that are not taken down, ascending."""
    counts = view.shard(shard).counts
    whole = view.run(shard, 0, 0, counts[0]) if counts else np.empty(0, np.uint32)
    ordinals = np.union1d(whole, view.fractional(shard)).astype(np.int64)
    return np.asarray(ordinals[~reader.is_taken_down(ordinals)])


def _examples(index: npt.NDArray[np.void], rows: npt.NDArray[np.int32]) -> Iterator[Example]:
    for record, labels in zip(index, rows.tolist(), strict=True):
        yield Example(key_hex(record), tuple(sorted(label for label in labels if label >= 0)))
