"""Tests that the simulation of audits runs and says what it was made with."""

import json
from pathlib import Path

import numpy as np

from tagmill.bench import audit


def test_shares_are_written(tmp_path: Path) -> None:
    audit.main(["--quick", "--out", str(tmp_path / "audit.json")])
    cases = json.loads((tmp_path / "audit.json").read_text())["cases"]
    assert cases.pop("settings")["worlds"] == 20
    assert len(cases) == len(audit.NOTHING) + len(audit.POINTS) * len(audit.SUBJECTS)
    assert all(0 <= case["share"] <= 1 for case in cases.values())
    assert cases["20 points, 300 subjects a group"]["share"] == 1


def test_an_association_is_in_the_first_label_of_the_first_group_only() -> None:
    plain, made = (audit.world(np.random.default_rng(1), (200, 200), 3, points=points) for points in (0.0, 0.5))
    shares = [
        [each.hits[each.group == group].sum(axis=0) / each.images[each.group == group].sum() for group in (0, 1)]
        for each in (plain, made)
    ]
    change = np.array(shares[1]) - np.array(shares[0])
    assert change[0, 0] > 0.4 and np.abs(change[1]).max() < 0.1 and np.abs(change[0, 1:]).max() < 0.1
