"""Divides sets into parts: by hash of key and seed, each class alike, and no group in two parts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagmill.shards.errors import ConfigError, InputError
from tagmill.transfer.sets.labelled_set import LabelledSet

_Ints = npt.NDArray[np.int64]


def divide(
    keys: Sequence[str], labels: Sequence[int] | _Ints, groups: Sequence[str], weights: Sequence[int], seed: int = 0
) -> _Ints:
    """Returns the part of each of n images, int64 [n], numbers below len(weights). Images of one group (not '') are in one
    part. The images of a class are divided in proportion to `weights`: without groups one of two parts differs from its share
    by less than one image, and parts of equal weight from each other by at most one.

    The result does not depend on the order of the images. Images of label -1 are a class of their own, and a group counts for
    its commonest label. Raises ConfigError for fewer than two weights and those that are not positive, InputError for fewer
    groups than parts.
    """
    if len(weights) < 2 or min(weights) < 1:
        raise ConfigError(f"parts of weights {list(weights)}", "split", "give at least two whole numbers above 0")
    units = _units(keys, groups)
    if len(units) < len(weights):
        what = f"{len(units)} images or groups for {len(weights)} parts"
        raise InputError(what, "split", "use a larger set, or fewer parts")
    strata = defaultdict[int, list[tuple[bytes, list[int]]]](list)
    for unit, rows in units.items():
        counts = Counter(int(labels[row]) for row in rows)
        commonest = min(counts, key=lambda label: (-counts[label], label))
        strata[commonest].append((_order(unit, seed), rows))
    shares, parts = np.array(weights, np.int64), np.empty(len(keys), np.int64)
    lacking = shares * len(keys)  # images that each part still lacks, times the sum of all weights
    for _, members in sorted(strata.items()):
        members.sort(key=lambda unit: (-len(unit[1]), unit[0]))
        lacking_here = shares * sum(len(rows) for _, rows in members)
        for _, rows in members:
            part = int(np.lexsort((-lacking, -lacking_here))[0])
            parts[rows] = part
            lacking_here[part] -= len(rows) * shares.sum()
            lacking[part] -= len(rows) * shares.sum()
    return parts


def k_folds(
    keys: Sequence[str], labels: Sequence[int] | _Ints, groups: Sequence[str], folds: int, seed: int = 0
) -> _Ints:
    """Returns the fold of each image, int64 [n], numbers below `folds`: `divide` with equal weights."""
    return divide(keys, labels, groups, [1] * folds, seed)


def divide_set(labelled: LabelledSet, weights: Sequence[int], seed: int = 0) -> list[_Ints]:
    """Returns the places of the images of each part of a set, ascending: `divide`, where an image of several labels counts
    for the rarest."""
    images = Counter(label for example in labelled.examples for label in example.labels)
    examples = labelled.examples
    rarest = [min(each.labels, key=lambda label: (images[label], label), default=-1) for each in examples]
    parts = divide([each.key for each in examples], rarest, [each.group for each in examples], weights, seed)
    return [np.flatnonzero(parts == part) for part in range(len(weights))]


def _units(keys: Sequence[str], groups: Sequence[str]) -> dict[tuple[str, str], list[int]]:
    """Returns the rows of each group, and of each image without one."""
    units = defaultdict[tuple[str, str], list[int]](list)
    for row, (key, group) in enumerate(zip(keys, groups, strict=True)):
        units["group" if group else "key", str(group or key)].append(row)
    return units


def _order(unit: tuple[str, str], seed: int) -> bytes:
    """Returns what images and groups are sorted by: a hash, which is as random as a shuffle and the same everywhere."""
    kind, name = unit
    return hashlib.sha256(f"{seed}:{kind}:{name}".encode("utf-8", "surrogatepass")).digest()
