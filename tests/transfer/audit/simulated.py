"""Simulated predictions of subjects, with and without an association."""

import numpy as np

from tagmill.transfer.audit.subject_counts import AuditedLabel, SubjectCounts


def world(
    chance: np.random.Generator, sizes: tuple[int, ...], labels: int, images: int = 6, points: float = 0.0
) -> SubjectCounts:
    """Subjects differ in how often they show a label, and in how many images they have; `points` is added to the first label's
    probability in the first group."""
    subjects = sum(sizes)
    group = np.repeat(np.arange(len(sizes)), sizes)
    count = chance.integers(1, images, subjects, endpoint=True)
    mean = np.linspace(0.1, 0.4, labels)
    rate = chance.beta(4 * mean, 4 * (1 - mean), (subjects, labels))
    rate[group == 0, 0] = np.minimum(1.0, rate[group == 0, 0] + points)
    hits = chance.binomial(count[:, None], rate)
    names = tuple(f"group {number}" for number in range(len(sizes)))
    tested = tuple(AuditedLabel(f"label {number}", None, (number,)) for number in range(labels))
    return SubjectCounts(tuple(f"{n:05d}" for n in range(subjects)), names, group, count, hits, tested, 0)
