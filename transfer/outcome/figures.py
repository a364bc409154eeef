"""Figures of an outcome: accuracies with intervals, by class, and which classes are taken for which."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.transfer.outcome.check import MOST_RANKS, check_outcome
from tagmill.transfer.outcome.intervals import (
    Estimate,
    Floats,
    bootstrap,
    sums_by_group,
    wilson,
    wilson_estimate,
)
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at, true_pairs

MOST_CONFUSIONS = 50  # pairs of classes


@dataclass(frozen=True)
class ClassFigures:
    """Accuracy on the images of one class."""

    name: str
    synset: str | None
    images: int
    right: int
    top1: Estimate | None  # with Wilson's interval; None without images


@dataclass(frozen=True)
class Confusion:
    """Images of one class for which another one is predicted first."""

    truth: int
    predicted: int  # -1: no class
    images: int


@dataclass(frozen=True)
class Figures:
    """What an outcome says. Shares are 0 to 1; intervals have a level of 0.95."""

    images: int
    groups: int | None  # None: every image on its own
    right: int
    top1: Estimate
    top5: Estimate | None  # None where there are at most 5 classes or fewer ranks are known
    class_mean: Estimate  # mean of the top-1 accuracies of the classes that have test images
    per_class: tuple[ClassFigures, ...]  # in the order of the classes
    confusions: tuple[Confusion, ...]  # the most frequent first, at most MOST_CONFUSIONS
    confused_pairs: int  # all pairs of different classes
    interval: str  # how the intervals of top1 and top5 were made


def figures_of(outcome: Outcome, seed: int = 0) -> Figures:
    """Returns the figures of an outcome. `seed`: of the bootstrap. Raises TagmillError for an outcome that is inconsistent.

    Intervals of top-1 and top-5 accuracy are Wilson's where images are independent, and by bootstrap over groups where the
    outcome has groups of several images; the interval of the mean over classes is always by bootstrap. An image with several
    right classes is right if its prediction is one of them, and counts as an image of each of them.
    """
    check_outcome(outcome)
    hits = right_at(outcome)
    within = hits[:, -1] if hits.shape[1] == MOST_RANKS < len(outcome.classes) else None
    group, number = group_places(outcome)
    grouped = number < len(hits)
    first, five, mean = _resampled(outcome, hits[:, 0], within, group, number, seed)
    by_class = _per_class(outcome, hits[:, 0])
    known = [each.top1.value for each in by_class if each.top1 is not None]
    pairs = _confusions(outcome)
    right = int(hits[:, 0].sum())
    top1 = Estimate(right / len(hits), *first) if grouped else wilson_estimate(right, len(hits))
    top5 = None
    if within is not None:
        inside = int(within.sum())
        top5 = Estimate(inside / len(hits), *five) if grouped else wilson_estimate(inside, len(hits))
    return Figures(
        images=len(hits),
        groups=number if grouped else None,
        right=right,
        top1=top1,
        top5=top5,
        class_mean=Estimate(sum(known) / len(known), *mean),
        per_class=by_class,
        confusions=pairs[:MOST_CONFUSIONS],
        confused_pairs=len(pairs),
        interval="bootstrap over groups" if grouped else "Wilson",
    )


def group_places(outcome: Outcome) -> tuple[npt.NDArray[np.int64], int]:
    """Returns the number of each image's group, [n], and how many groups there are. An image whose group is '' is a group of
    its own."""
    count = len(outcome.keys)
    if outcome.groups is None:
        return np.arange(count), count
    names, place = np.unique(outcome.groups, return_inverse=True)
    place = place.astype(np.int64)
    alone = outcome.groups == ""
    place[alone] = len(names) + np.arange(int(alone.sum()))
    used, place = np.unique(place, return_inverse=True)
    return place.astype(np.int64), len(used)


def _resampled(
    outcome: Outcome,
    first: npt.NDArray[np.bool_],
    within: npt.NDArray[np.bool_] | None,
    group: npt.NDArray[np.int64],
    number: int,
    seed: int,
) -> tuple[tuple[float, float], ...]:
    """Ends of bootstrap intervals of top-1, top-5 and the mean over classes."""
    classes, five = len(outcome.classes), first if within is None else within
    rows, labels = true_pairs(outcome)
    hit, several = first[rows], outcome.accepted is not None
    # Columns: images of each class, right ones of each class, and right ones among five.
    places = [group[rows], group[rows[hit]], group[five]]
    columns = [labels, classes + labels[hit], np.full(int(five.sum()), 2 * classes)]
    if several:  # all images and right ones, which the classes together count more than once
        places += [group, group[first]]
        columns += [np.full(len(first), 2 * classes + 1), np.full(int(first.sum()), 2 * classes + 2)]
    width = 2 * classes + (3 if several else 1)
    sums = sums_by_group(np.concatenate(places), np.concatenate(columns), number, width)

    def statistic(drawn: Floats) -> Floats:
        images, right = drawn[:, :classes], drawn[:, classes : 2 * classes]
        total, hits = (drawn[:, -2], drawn[:, -1]) if several else (images.sum(axis=1), right.sum(axis=1))
        shares = np.divide(right, images, out=np.zeros_like(right), where=images > 0)
        mean = shares.sum(axis=1) / (images > 0).sum(axis=1)
        return np.stack([hits / total, drawn[:, 2 * classes] / total, mean], axis=1)

    low, high = bootstrap(sums, statistic, seed)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def _per_class(outcome: Outcome, first: npt.NDArray[np.bool_]) -> tuple[ClassFigures, ...]:
    classes = len(outcome.classes)
    rows, labels = true_pairs(outcome)
    images = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[first[rows]], minlength=classes)
    low, high = wilson(right, images)
    ends = zip(images.tolist(), right.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(
        ClassFigures(each.name, each.synset, of, hits, Estimate(hits / of, under, over) if of else None)
        for each, (of, hits, under, over) in zip(outcome.classes, ends, strict=True)
    )


def _confusions(outcome: Outcome) -> tuple[Confusion, ...]:
    rows, labels = true_pairs(outcome)
    wrong = ~right_at(outcome)[rows, 0]
    pairs, counts = np.unique(
        np.stack([labels[wrong], outcome.top[rows[wrong], 0]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    return tuple(Confusion(int(pairs[row, 0]), int(pairs[row, 1]), int(counts[row])) for row in order)
