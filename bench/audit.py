"""Simulates audits: how often an audit finds something where there is nothing, and what it finds where there is.

python bench/audit.py [--worlds N] [--quick] [--out FILE.json]

A world is a table of predictions for subjects of two or three groups. Subjects have one to six images and differ in how often
they show a label, as people do. Without an association, the share of worlds with any finding must be the level, 5 %; with one,
a label is shown more often by the first group, by 5, 10 or 20 points, and the share of worlds that find it is the power.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import binom

from tagmill.bench.measure import write
from tagmill.transfer.audit.associations import associate
from tagmill.transfer.audit.subject_counts import AuditedLabel, SubjectCounts

LEVEL, COVERED = 0.05, 0.95  # of the audit; of the binomial interval
NOTHING = {
    "300 and 300 subjects": (300, 300),
    "30 and 400 subjects": (30, 400),
    "60, 90 and 150 subjects": (60, 90, 150),
}
POINTS, SUBJECTS = (5, 10, 20), (30, 100, 300)


def world(
    chance: np.random.Generator, sizes: tuple[int, ...], labels: int, images: int = 6, points: float = 0.0
) -> SubjectCounts:
    """Returns the counts of a world with these numbers of subjects. `points` is added to the first label's probability in the
    first group, as a share."""
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


def findings(sizes: tuple[int, ...], points: float, worlds: int, labels: int, permutations: int) -> tuple[int, int]:
    """Returns the number of worlds with any finding, and of those that find the first label in the first group."""
    chance, any_finding, first = np.random.default_rng([*sizes, int(1000 * points)]), 0, 0
    for seed in range(worlds):
        found = associate(world(chance, sizes, labels, points=points), LEVEL, permutations, 1, seed).found
        any_finding += bool(found.any())
        first += bool(found[0, 0])
    return any_finding, first


def main(words: list[str] | None = None) -> None:
    """Prints and writes the shares."""
    parser = argparse.ArgumentParser(description="Simulate audits with and without an association.")
    parser.add_argument("--worlds", type=int, default=1_000)
    parser.add_argument("--quick", action="store_true", help="few worlds: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    asked = parser.parse_args(words)
    worlds, labels, permutations = (20, 4, 39) if asked.quick else (asked.worlds, 40, 399)
    cases: dict[str, dict[str, object]] = {}
    low, high = (float(end) / worlds for end in binom.interval(COVERED, worlds, LEVEL))
    for name, sizes in NOTHING.items():
        share = findings(sizes, 0.0, worlds, labels, permutations)[0] / worlds
        cases[f"no association, {name}"] = {"unit": "share with any finding", "share": share, "low": low, "high": high}
        print(
            f"no association, {name:26} {share:.3f} of worlds have a finding (binomial interval {low:.3f} to {high:.3f})"
        )
    for points in POINTS:
        for subjects in SUBJECTS:
            some = max(1, worlds // 5)
            share = findings((subjects, subjects), points / 100, some, labels, permutations)[1] / some
            name = f"{points} points, {subjects} subjects a group"
            cases[name] = {"unit": "share that find it", "share": share}
            print(f"{name:42} {share:.3f} of worlds find it")
    if asked.out is not None:
        facts = {"unit": "", "worlds": worlds, "labels": labels, "permutations": permutations, "level": LEVEL}
        write("audit", {"settings": facts, **cases}, {}, asked.out)


if __name__ == "__main__":
    main()
