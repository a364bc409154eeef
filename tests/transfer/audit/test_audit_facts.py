"""Tests of what an audit says, in order and in numbers."""

import json

import numpy as np

from tagmill.bench.audit import world
from tagmill.transfer.audit.associations import associate
from tagmill.transfer.audit.audit_facts import audit_facts, cannot_tell
from tagmill.transfer.outcome.canonical import canonical_json


def test_findings_come_first_with_the_numbers_of_the_test() -> None:
    found = associate(world(np.random.default_rng(1), (60, 70), 6, points=0.5), permutations=199, draws=50)
    facts = json.loads(canonical_json(audit_facts(found, {"set": "faces"}, 5)))
    assert facts["set"] == "faces" and facts["findings"] >= 1 and facts["tested"] == 6
    assert [group["subjects"] for group in facts["groups"]] == [60, 70]
    assert sum(group["images"] for group in facts["groups"]) == int(found.counts.images.sum())
    best = facts["results"][0]
    assert best["name"] == "label 0" and all(group["finding"] for group in best["groups"])
    assert best["groups"][0]["difference"] == found.difference[0, 0] > 0.3
    assert best["groups"][0]["low"] < best["groups"][0]["difference"] < best["groups"][0]["high"]
    least = [min(group["p"] for group in each["groups"]) for each in facts["results"]]
    assert least == sorted(least)


def test_an_audit_without_results_is_still_json() -> None:
    counts = world(np.random.default_rng(2), (30, 30), 2)
    constant = counts.hits * 0
    for hits, tested in ((constant, counts.tested), (constant[:, :0], ())):
        found = associate(type(counts)(**{**vars(counts), "hits": hits, "tested": tested}), permutations=19, draws=5)
        facts = json.loads(canonical_json(audit_facts(found, {}, 1)))
        assert facts["findings"] == 0 and all(
            group["least"] is None for each in facts["results"] for group in each["groups"]
        )


def test_it_says_what_it_cannot_tell() -> None:
    counts = world(np.random.default_rng(3), (40, 40), 3)
    found = associate(type(counts)(**{**vars(counts), "untested": 1234}), permutations=99, draws=5)
    text = " ".join(cannot_tell(found, 5))
    assert "1,234 labels and subtrees" in text and "not a cause" in text and "among the best 5" in text
    assert f"{100 * np.median(found.least):.1f} points" in text
