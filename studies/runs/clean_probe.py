"""Linear probes of a network on labelled sets, on all classes and on parts of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.shards import ConfigError, Corpus, Store
from tagmill.shards.formats.record import sha256_hex
from tagmill.studies.runs.run_task import Judging
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.asked_sets import sets_of
from tagmill.transfer.command.transfer_options import TransferOptions
from tagmill.transfer.features.backbone import Backbone, open_backbone
from tagmill.transfer.features.extract import Sharing, extract
from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at, true_pairs, with_right_classes
from tagmill.transfer.probes.linear import linear_probe
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet, SetClass
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.single_label import with_one_label
from tagmill.transfer.sets.splits import divide_set

Targets = Mapping[str, Sequence[tuple[str, Sequence[str]]]]
MOST_HELD_OUT = 1_000_000  # of the corpus; a set is in memory as a whole
TAGS_ARE_LABELS = (
    "No --probe-set was given: probes learn from one half of the held-out samples and are judged on the other, and in turn. "
    "Their labels are the tags', which are wrong at times."
)


@dataclass(frozen=True, eq=False)
class ProbeParts:
    """A labelled set as two parts."""

    name: str
    learn: LabelledSet
    judge: LabelledSet
    both_ways: bool  # whether a second probe learns from `judge` and is judged on `learn`

    @property
    def digest(self) -> str:
        """SHA-256, 64 hex digits, of both parts."""
        return sha256_hex(f"{self.learn.digest} {self.judge.digest} {self.both_ways}".encode())


def probe_parts(judging: Judging) -> tuple[list[ProbeParts], list[str]]:
    """Returns the sets that networks are judged on, in the order of the options, and what to know of them. Raises TagmillError
    for sets that cannot be read, and ConfigError for a corpus without held-out samples, where no set is given."""
    found, notes = list[ProbeParts](), list[str]()
    for spec in judging.sets:
        options = TransferOptions(model="", set=spec, output="", split=judging.split, test_split=judging.test_split)
        learn, judge, said = sets_of(options)
        found.append(ProbeParts(judge.name, learn, judge, both_ways=False))
        notes += said
    if not found:
        found.append(_held_out_halves(judging))
        notes.append(TAGS_ARE_LABELS)
    return found, notes


def _held_out_halves(judging: Judging) -> ProbeParts:
    corpus = Corpus.open(judging.corpus)
    remedy = "give --probe-set SET, or a corpus made with --holdout N"
    held_out = corpus.file.totals.get("holdout", 0)
    if not 2 <= held_out <= MOST_HELD_OUT:
        what = f"{held_out:,} held-out samples to judge networks on (2 to {MOST_HELD_OUT:,} can be used)"
        raise ConfigError(what, judging.corpus, remedy)
    whole, _ = with_one_label(open_set(f"corpus:{judging.corpus}#{judging.base_view}", "holdout"))
    first, second = (
        choose(whole, places.tolist(), name) for places, name in zip(divide_set(whole, (1, 1)), "ab", strict=True)
    )
    return ProbeParts(f"held-out samples, view {judging.base_view}", first, second, both_ways=True)


def probe_measures(
    trained: Trained, parts: Sequence[ProbeParts], targets: Targets, kept: str, device: str, threads: int | None
) -> dict[str, float]:
    """Returns accuracies of linear probes by name, as shares: `probe_top1` and `probe_mean_class` are means over the sets, and
    with several sets those of each have its place (from 1) at the end; those of a target have its name there. `kept`: a folder
    for features, which a run that is stopped finds again."""
    backbone = open_backbone(trained, device=device)  # type: ignore[arg-type]
    found = list[dict[str, float]]()
    for part in parts:
        tables = tuple(_features(backbone, each, kept, threads) for each in (part.learn, part.judge))
        measured = _both(trained, part, tables, "")
        for target, labels in targets.items():
            inside = _places(part.learn.classes, labels)
            cut = tuple(table.take(np.isin(table.labels, inside)) for table in tables)
            measured |= _both(trained, part, cut, f"_{target}")
        found.append(measured)
    means = {name: float(np.mean([each[name] for each in found])) for name in found[0]}
    if set(targets) == {"own", "other"}:
        means["probe_own_minus_other"] = means["probe_top1_own"] - means["probe_top1_other"]
    if len(found) > 1:
        means |= {f"{name}_{place}": value for place, each in enumerate(found, 1) for name, value in each.items()}
    return means


def _features(backbone: Backbone, part: LabelledSet, kept: str, threads: int | None) -> FeatureTable:
    return extract(backbone, part, Sharing(Store(kept)), threads=threads)


def _places(classes: Sequence[SetClass], labels: Sequence[tuple[str, Sequence[str]]]) -> npt.NDArray[np.int64]:
    """Returns the classes of a set that are among some labels: those with one of their synsets, or their name."""
    names = {name for name, _ in labels}
    synsets = {synset for _, some in labels for synset in some}
    inside = [place for place, each in enumerate(classes) if each.synset in synsets or each.name in names]
    return np.array(inside, np.int64)


def _both(trained: Trained, part: ProbeParts, tables: tuple[FeatureTable, ...], end: str) -> dict[str, float]:
    learn, judge = tables
    outcomes = [_outcome(trained, part, learn, judge, part.judge)]
    if part.both_ways:
        outcomes.append(_outcome(trained, part, judge, learn, part.learn))
    return accuracies(outcomes, end)


def _outcome(
    trained: Trained, part: ProbeParts, learn: FeatureTable, judge: FeatureTable, judged: LabelledSet
) -> Outcome:
    return with_right_classes(linear_probe(ProbeInput(trained.where, part.name, learn, judge)), judged)


def accuracies(outcomes: Sequence[Outcome], end: str = "") -> dict[str, float]:
    """Returns top-1 accuracy over the images of all outcomes, which have one list of classes, and the mean over classes."""
    images = np.zeros(len(outcomes[0].classes))
    right, hits, total = images.copy(), 0, 0
    for outcome in outcomes:
        first = right_at(outcome)[:, 0]
        rows, labels = true_pairs(outcome)
        images += np.bincount(labels, minlength=len(images))
        right += np.bincount(labels[first[rows]], minlength=len(images))
        hits, total = hits + int(first.sum()), total + len(first)
    mean = float((right[images > 0] / images[images > 0]).mean())
    return {f"probe_top1{end}": hits / total, f"probe_mean_class{end}": mean}
