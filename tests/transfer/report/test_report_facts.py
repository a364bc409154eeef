"""The report as data: complete, finite, and the same bytes each time."""

import json

from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.report_facts import averages, report_values
from tagmill.transfer.report.verified import VERIFIED
from tests.transfer.report.judged import FACTS, judged_on, named_set


def test_it_has_the_figures_and_the_same_bytes_each_time() -> None:
    test = named_set("")
    judged = judged_on(test)
    data = canonical_json(report_values(FACTS, judged))
    assert data == canonical_json(report_values(FACTS, judged_on(test)))
    found = json.loads(data)
    assert found["run"]["model_digest"] == "0" * 64 and found["versions"]["torch"]
    assert [each["sha256"] for each in found["outcomes"]] == [each.digest for each in judged]
    first = found["outcomes"][0]
    assert first["top1"]["value"] == first["right"] / first["images"] and first["top1"]["low"] < first["top1"]["value"]
    assert len(first["classes"]) == 7 and sum(each["images"] for each in first["classes"]) == first["images"]
    wrong = first["images"] - first["right"]
    assert sum(each["images"] for each in first["confusions"]) == wrong and first["skipped"] == {"truncated": 1}
    assert {each["verified"] for each in first["papers"]} == {"code"}


def test_seeds_are_averaged_and_random_networks_are_apart() -> None:
    found = averages(judged_on(named_set("")))
    assert [(each.variant, each.random, each.runs) for each in found] == [
        ("few-shot, 5 a class", False, 2),
        ("few-shot, 5 a class", True, 1),
        ("knn", False, 1),
        ("ours", False, 1),
    ]
    assert found[0].top1 is not None and found[1].top1 is None


def test_what_is_not_verified_is_said() -> None:
    settings = [each for some in VERIFIED.values() for each in some]
    assert any(each.verified == "not verified" for each in settings) and all(each.source for each in settings)
