"""In how many images of each subject a label, or any label of a WordNet subtree, is among the best k."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.ingest import WordNet
from tagmill.training.trained.labels import ModelLabel
from tagmill.transfer.audit.attribute_table import Attributes, check_groups, subjects_by_group

LEAST_SHOWN = 20  # subjects that must have a label among the best k, so that it is tested


@dataclass(frozen=True)
class AuditedLabel:
    """A label, or a subtree of WordNet with several labels."""

    name: str
    synset: str | None  # of a subtree
    labels: tuple[int, ...]  # places in the model's labels, ascending


@dataclass(frozen=True)
class SubjectCounts:
    """Counts of s subjects and t tested labels and subtrees."""

    subjects: tuple[str, ...]  # ascending
    groups: tuple[str, ...]  # the names of the groups, ascending
    group: npt.NDArray[np.int64]  # [s], places in `groups`
    images: npt.NDArray[np.int64]  # [s], at least 1
    hits: npt.NDArray[np.int64]  # [s, t], images of the subject with the label among the best k
    tested: tuple[AuditedLabel, ...]
    untested: int  # labels and subtrees that fewer than 20 subjects have


def subtrees(labels: Sequence[ModelLabel], wordnet: WordNet | None = None) -> tuple[AuditedLabel, ...]:
    """Returns the subtrees of WordNet with at least two labels of the model, of those with the same labels the lowest, ordered
    by synset. A label with several synsets is in the subtrees of each."""
    net = wordnet or WordNet.load()
    inside: dict[str, set[int]] = {}
    depth: dict[str, int] = {}
    for row, label in enumerate(labels):
        above, steps = {synset for synset in label.synsets if synset in net}, 0
        while above:
            for synset in above:
                inside.setdefault(synset, set()).add(row)
                depth[synset] = max(depth.get(synset, 0), steps)
            above, steps = {up for synset in above for up in net.hypernyms(synset)}, steps + 1
    lowest: dict[tuple[int, ...], str] = {}
    for synset in sorted(inside, key=lambda each: (depth[each], each)):
        lowest.setdefault(tuple(sorted(inside[synset])), synset)
    found = [AuditedLabel(net.lemmas(synset)[0], synset, rows) for rows, synset in lowest.items() if len(rows) > 1]
    return tuple(sorted(found, key=lambda each: each.synset or ""))


def count_hits(
    keys: Sequence[str],
    top: npt.NDArray[np.int64],
    names: Sequence[str],
    trees: Sequence[AuditedLabel],
    attributes: Attributes,
) -> SubjectCounts:
    """Counts the images of `keys` that have a known subject. `top`: [n, k], the best labels of each image; `names`: of the
    model's labels; `trees`: subtrees. Raises InputError for groups that are too small (see `check_groups`)."""
    known = [row for row, key in enumerate(keys) if key in attributes.subject_of]
    of_image = [attributes.subject_of[keys[row]] for row in known]
    subjects = tuple(sorted(set(of_image)))
    by_subject = [attributes.group_of[each] for each in subjects]
    sizes = subjects_by_group(by_subject)
    check_groups(sizes, attributes.name)
    place = {subject: number for number, subject in enumerate(subjects)}
    rows = np.array([place[each] for each in of_image], np.int64)
    best = top[known]
    tested, columns, untested = list[AuditedLabel](), list[npt.NDArray[np.int64]](), 0
    single = (AuditedLabel(name, None, (number,)) for number, name in enumerate(names))
    for each, shown in _shown([*single, *trees], best, len(names)):
        counts = np.bincount(rows[shown], minlength=len(subjects))
        if np.count_nonzero(counts) < LEAST_SHOWN:
            untested += 1
            continue
        tested.append(each)
        columns.append(counts)
    groups = tuple(sizes)
    return SubjectCounts(
        subjects,
        groups,
        np.array([groups.index(each) for each in by_subject], np.int64),
        np.bincount(rows, minlength=len(subjects)),
        np.stack(columns, axis=1) if columns else np.zeros((len(subjects), 0), np.int64),
        tuple(tested),
        untested,
    )


def _shown(
    candidates: Sequence[AuditedLabel], best: npt.NDArray[np.int64], labels: int
) -> list[tuple[AuditedLabel, npt.NDArray[np.int64]]]:
    """Returns the images, ascending, that have any label of each candidate among their best."""
    image, _ = np.nonzero(best >= 0)
    label = best[best >= 0]
    order = np.argsort(label, kind="stable")
    image, ends = image[order], np.searchsorted(label[order], np.arange(labels + 1))
    return [
        (each, np.unique(np.concatenate([image[ends[row] : ends[row + 1]] for row in each.labels])))
        for each in candidates
    ]
