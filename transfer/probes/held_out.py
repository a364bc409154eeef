"""The part of a training set that settings are chosen on."""

import hashlib
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from tagmill.transfer.features.feature_table import FeatureTable


def held_out_rows(table: FeatureTable, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Returns which rows are held out, [n]: of each class about `share` of its images, in whole groups, in the order of a hash
    of seed and group, so that the order of the set does not matter. At least one group of a class stays to learn from. A group
    with images of several classes counts for the class of most of them, of equal ones for the lower place."""
    groups, members = np.unique(table.groups, return_inverse=True)
    classes, sizes = _classes_of(members, table.labels, len(groups), len(table.classes)), np.bincount(members)
    by_class: dict[int, list[int]] = defaultdict(list)
    for group, place in enumerate(classes.tolist()):
        by_class[place].append(group)
    held = np.zeros(len(groups), np.bool_)
    for own in by_class.values():
        wanted, taken = share * float(sizes[own].sum()), 0
        for group in sorted(own, key=lambda group: _rank(str(groups[group]), seed))[:-1]:
            if taken + sizes[group] / 2 > wanted:
                break
            held[group] = True
            taken += int(sizes[group])
    return held[members]


def _classes_of(
    members: npt.NDArray[np.intp], labels: npt.NDArray[np.int64], groups: int, classes: int
) -> npt.NDArray[np.int64]:
    """Returns the class of each group, [groups]."""
    pairs, counts = np.unique(members.astype(np.int64) * classes + labels, return_counts=True)
    order = np.lexsort((-(pairs % classes), counts))  # the last one of a group is written last
    found = np.zeros(groups, np.int64)
    found[pairs[order] // classes] = pairs[order] % classes
    return found


def _rank(group: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {group}".encode(errors="surrogatepass"), digest_size=16).digest()
