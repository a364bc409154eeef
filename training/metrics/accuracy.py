"""Counts how often the best labels of a model are right, exactly and without waiting for the device."""

from typing import Any

import torch
import torch.distributed as dist

from tagmill.pipeline import Labels
from tagmill.shards import Vocabulary

BEST = (1, 5, 10)
"""Numbers of best labels that are judged."""
_IMAGES, _HOLES, _TOP5 = range(3)  # numbers of a tally; after them the right labels among the best of each of BEST
_CARRIED, _RIGHT, _FOUND = range(3)  # numbers of each label


def best_of(scores: torch.Tensor) -> torch.Tensor:
    """Returns the labels with the largest of the scores [b, L], as many as a tally looks at, the best first: int64 [b, 10]."""
    return scores.topk(min(BEST[-1], scores.shape[1])).indices


class Tally:
    """Counts over images with scores, on their device. Images without labels do not count."""

    def __init__(self, labels: int, device: torch.device | str) -> None:
        self._sums = torch.zeros(3 + len(BEST), dtype=torch.int64, device=device)
        self._each = torch.zeros(3, labels, dtype=torch.int64, device=device)

    def add(self, best: torch.Tensor, labels: Labels) -> None:
        """Adds images: the ids of their best labels, the best first (`best_of`), and their labels [b]."""
        rows, ids, _ = labels.terms()
        same = (best[rows] == ids[:, None]).long()  # [m, 10]: which of the best is this label of the image
        hits = torch.zeros_like(best).index_add_(0, rows, same)
        ones = torch.ones_like(ids)
        for number, counts in ((_CARRIED, ones), (_RIGHT, hits[rows, 0]), (_FOUND, same[:, : BEST[1]].sum(1))):
            self._each[number].index_add_(0, ids, counts)
        self._sums[_IMAGES] += (labels.offsets.diff() > 0).sum()
        self._sums[_TOP5] += hits[:, : BEST[1]].any(1).sum()
        for place, number in enumerate(BEST, 3):
            self._sums[place] += hits[:, :number].sum()

    def add_holes(self, holes: torch.Tensor) -> None:
        """Adds a number of images that could not be read."""
        self._sums[_HOLES] += holes

    def result(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """Returns the accuracies over the images of all processes, each of which calls this; empty if no image has a label.

        `top1`, `top5`: the share of images with one of their labels among the best 1 or 5. `precision_at_k`: the share of
        the k best labels (of all labels, if there are fewer) that are the image's. `mean_class_accuracy`: the share of
        images that are right, of each label that occurs, averaged. `majority`: the share with the commonest label of the
        training images (lowest id among equals). `chance`: that of a random label, mean k / L.
        """
        totals = torch.cat([self._sums, self._each.flatten()])
        if dist.is_initialized():
            dist.all_reduce(totals)
        sums, each = totals[: len(self._sums)].tolist(), totals[len(self._sums) :].double().cpu().view_as(self._each)
        images, carried = sums[_IMAGES], each[_CARRIED]
        if not images:
            return {}
        commonest = max(vocabulary.labels, key=lambda label: (label.images, -label.id))
        found = {"top1": sums[3] / images, "top5": sums[_TOP5] / images}
        for right, number in zip(sums[3:], BEST, strict=True):
            found[f"precision_at_{number}"] = right / images / min(number, len(vocabulary))
        found["mean_class_accuracy"] = _mean(each[_RIGHT], carried)
        found |= {"majority": carried[commonest.id].item() / images}
        found |= {"chance": carried.sum().item() / images / len(vocabulary)}
        thirds = {name: _third(ids, vocabulary, each) for name, ids in thirds_of(vocabulary).items()}
        about = {"majority_label": commonest.name, "evaluated": {"pictures": images, "holes": sums[_HOLES]}}
        return {**found, **about, **({"labels": thirds} if thirds else {})}


def thirds_of(vocabulary: Vocabulary) -> dict[str, list[int]]:
    """Returns the ids of the third of labels with the most training images ("head"), the next third ("middle") and the rest
    ("tail"); of labels with equally many the lower id comes first. Empty with fewer than three labels, and if their numbers
    of images are not known."""
    order = sorted(vocabulary.labels, key=lambda label: (-label.images, label.id))
    if len(order) < 3 or not order[0].images:
        return {}
    ends = [len(order) * part // 3 for part in range(4)]
    names = ("head", "middle", "tail")
    return {name: [label.id for label in order[ends[at] : ends[at + 1]]] for at, name in enumerate(names)}


def _third(ids: list[int], vocabulary: Vocabulary, each: torch.Tensor) -> dict[str, Any]:
    """Accuracies over some labels. `training_images`: of the label with the fewest and of that with the most.
    `held_out_images`: pairs of image and label. `recall_at_5`: the share of a label's images that have this label among the
    best five, averaged."""
    (carried, right, found), images = each[:, ids], [vocabulary.labels[label].images for label in ids]
    counts = {"labels": len(ids), "labels_evaluated": int((carried > 0).sum()), "held_out_images": int(carried.sum())}
    about = {**counts, "training_images": [min(images), max(images)]}
    if not counts["labels_evaluated"]:
        return about
    return {**about, "mean_class_accuracy": _mean(right, carried), "recall_at_5": _mean(found, carried)}


def _mean(right: torch.Tensor, carried: torch.Tensor) -> float:
    return float((right / carried)[carried > 0].mean())
