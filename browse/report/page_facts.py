"""Collects all that the page shows. A part that cannot be read leaves a sentence, and the rest is shown."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from tagmill.browse.report.decontamination import EvaluationPair, evaluation_pairs
from tagmill.browse.report.pictures import KeptPictures, SamplePicture, sample_pictures
from tagmill.browse.report.run_facts import RunFacts, run_facts
from tagmill.browse.report.sample_facts import Place, SampleFacts, sample_facts
from tagmill.browse.report.side_facts import (
    MAX_TAGS,
    LedgerFacts,
    RejectedRow,
    RejectFacts,
    ledger_facts,
    reject_facts,
)
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.shards import Corpus, TagmillError, View

LABELS_SHOWN = 6  # of the head, of the middle and of the tail
GROUPS_SHOWN = 12
MAX_FAULTS = 10
DEFAULT_VIEW = "default"
T = TypeVar("T")


@dataclass(frozen=True)
class ShownLabel:
    """A label with samples that carry it."""

    name: str
    images: int
    in_epoch: float  # samples of an epoch, estimated where not all shards were read
    rank: int  # 1: the most frequent
    pictures: tuple[SamplePicture, ...]


@dataclass(frozen=True)
class ShownGroup:
    """A sample and the rows that are copies of it, whose tags it has too."""

    sample: SamplePicture
    members: tuple[RejectedRow, ...]
    copies: int  # rows of the group that were found, of which `members` are some
    tags: tuple[str, ...]  # of all


@dataclass
class PageFacts:
    """All that the page shows."""

    run: RunFacts
    rejects: RejectFacts
    ledger: LedgerFacts
    samples: SampleFacts
    kept: KeptPictures
    view_name: str | None = None
    images: list[int] = field(default_factory=list)  # training images of each label, most first
    in_epoch: list[float] = field(default_factory=list)  # the same labels in an epoch
    bands: dict[str, list[ShownLabel]] = field(default_factory=dict)  # head, middle, tail
    groups: list[ShownGroup] = field(default_factory=list)
    pairs: list[tuple[EvaluationPair, bytes | None, bytes | None]] = field(default_factory=list)  # ours, theirs
    num_pairs: int = 0
    faults: list[str] = field(default_factory=list)  # what could not be read

    @property
    def warnings(self) -> list[str]:
        """Sentences that the page begins with."""
        return [*self.run.warnings, *(f"Not all is shown. {fault}" for fault in self.faults[:MAX_FAULTS])]


def page_facts(corpus: Corpus) -> PageFacts:
    """Reads what the page shows of a corpus, in bounded memory and a bounded number of requests."""
    faults: list[str] = []

    def part(name: str, read: Callable[[], T], nothing: T) -> T:
        try:
            return read()
        except (TagmillError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            faults.append(f"{name}: {error}")
            return nothing

    forbidden = ForbiddenRows.of(corpus)
    rejects = part("rejects", lambda: reject_facts(corpus, forbidden), RejectFacts())
    ledger = part("ledger", lambda: ledger_facts(corpus, forbidden), LedgerFacts(0, 0, (), 0))
    no_pairs: tuple[list[EvaluationPair], int] = ([], 0)
    pairs, num_pairs = part("evaluation sets", lambda: evaluation_pairs(corpus, forbidden), no_pairs)
    kept = part("kept pictures", lambda: KeptPictures.of(corpus, forbidden), KeptPictures())
    view = part("labels", lambda: _view(corpus), None)
    wanted = {*rejects.members, *(pair.key for pair in pairs)}
    samples = part("samples", lambda: sample_facts(corpus, view, wanted), SampleFacts())
    faults += samples.faults
    facts = PageFacts(run_facts(corpus, rejects.counts), rejects, ledger, samples, kept, faults=faults)
    bands = _bands(facts, view)
    keys = _group_keys(rejects, samples)
    places = [place for labels in bands.values() for label in labels for place in samples.labelled.get(label, ())]
    places += [samples.places[key] for key in [*keys, *(pair.key for pair in pairs if pair.key in samples.places)]]
    pictures = sample_pictures(corpus, places)
    if view is not None:
        _add_labels(facts, view, bands, pictures)
    facts.groups = [
        _group(rejects, key, pictures[samples.places[key]]) for key in keys if samples.places[key] in pictures
    ]
    facts.num_pairs = num_pairs
    for pair in pairs:
        sample = pictures.get(samples.places.get(pair.key, Place(-1, -1)))
        ours = sample.jpeg if sample is not None else kept.by_row.get(pair.row_id)
        facts.pairs.append((pair, ours, kept.evaluation.get((pair.set, pair.name))))
    return facts


def _view(corpus: Corpus) -> View | None:
    names = sorted(corpus.file.views)
    if not names:
        return None
    return View.open(corpus, DEFAULT_VIEW if DEFAULT_VIEW in names else names[0])


def _bands(facts: PageFacts, view: View | None) -> dict[str, list[int]]:
    """Chooses labels of the head, the middle and the tail, among those that have samples to show."""
    if view is None:
        return {}
    images = [label.images for label in view.vocabulary.labels]
    order = sorted((label for label in range(len(images)) if images[label]), key=lambda label: (-images[label], label))
    seen = [label for label in order if label in facts.samples.labelled]
    if len(seen) <= 3 * LABELS_SHOWN:
        third = -(-len(seen) // 3)
        return {"head": seen[:third], "middle": seen[third : 2 * third], "tail": seen[2 * third :]}
    middle = (len(seen) - LABELS_SHOWN) // 2
    return {
        "head": seen[:LABELS_SHOWN],
        "middle": seen[middle : middle + LABELS_SHOWN],
        "tail": seen[-LABELS_SHOWN:],
    }


def _add_labels(
    facts: PageFacts, view: View, bands: dict[str, list[int]], pictures: dict[Place, SamplePicture]
) -> None:
    labels, samples = view.vocabulary.labels, facts.samples
    order = sorted((label for label in labels if label.images), key=lambda label: (-label.images, label.id))
    ranks = {label.id: rank for rank, label in enumerate(order, 1)}
    # Of a sample of the shards: each label's own factor, applied to all of its images.
    before = samples.before.tolist()
    after = samples.after.tolist()
    scaled = [label.images * after[label.id] / before[label.id] if before[label.id] else 0.0 for label in labels]
    facts.view_name = view.file.name
    facts.images = [label.images for label in order]
    facts.in_epoch = [scaled[label.id] for label in order]
    for band, chosen in bands.items():
        facts.bands[band] = [
            ShownLabel(
                labels[number].name,
                labels[number].images,
                scaled[number],
                ranks.get(number, len(labels)),
                tuple(pictures[place] for place in samples.labelled.get(number, ()) if place in pictures),
            )
            for number in chosen
        ]


def _group_keys(rejects: RejectFacts, samples: SampleFacts) -> list[str]:
    """Chooses groups of duplicates: of each number of copies some, the largest first."""
    found = sorted(
        (key for key in rejects.members if key in samples.places), key=lambda key: (-rejects.sizes[key], key)
    )
    near = [key for key in found if any(row.reason == "near_duplicate" for row in rejects.members[key])]
    half = near[: GROUPS_SHOWN // 2]
    return [*half, *[key for key in found if key not in half]][:GROUPS_SHOWN]


def _group(rejects: RejectFacts, key: str, sample: SamplePicture) -> ShownGroup:
    members = rejects.members[key]
    tags = dict.fromkeys([*sample.tags, *(tag for row in members for tag in row.tags)])
    return ShownGroup(sample, tuple(members), rejects.sizes[key], tuple(tags)[: 2 * MAX_TAGS])
