"""The funnel, from report.json or without it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.browse.report.run_facts import RunFacts, run_facts
from tagmill.ingest import Reason
from tests.browse.worded import make_worded

reasons = st.dictionaries(st.sampled_from([reason.value for reason in Reason]), st.integers(1, 1000))


@given(reasons, st.integers(0, 10_000))
def test_the_funnel_ends_at_the_samples(rejects: dict[str, int], samples: int) -> None:
    steps = RunFacts(samples + sum(rejects.values()), samples, rejects, whole=True).funnel()
    assert steps[-1].rows == samples
    assert sum(step.lost for step in steps) == sum(rejects.values())
    assert [step.rows for step in steps] == sorted((step.rows for step in steps), reverse=True)


def test_a_report_is_read_and_without_one_the_totals_are_used(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    found = run_facts(corpus, {})
    assert (found.rows, found.samples, found.whole) == (23, 9, True) and found.seconds == {"fetch": 12.5, "pack": 0.25}
    assert found.recall == (1.0, 0.9, 0.5) and found.pairs == {3: 2} and found.evaluation == {"set": {"found": 2}}
    corpus.store.delete("report.json")
    bare = run_facts(corpus, {"timeout": 3, "duplicate": 4})
    assert (bare.rows, bare.samples, bare.whole) == (16, 9, False) and list(bare.rejects) == ["duplicate", "timeout"]
    assert "no report.json" in bare.warnings[0]


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"rows": 1}', '{"rows": [], "samples": {}, "rejects": {}}'])
def test_a_damaged_report_is_named(tmp_path: Path, text: str) -> None:
    corpus = make_worded(tmp_path)
    corpus.store.put("report.json", text.encode())
    found = run_facts(corpus, {"timeout": 1})
    assert not found.whole and found.samples == 9 and "cannot be read" in found.warnings[0]


def test_shares_outside_of_zero_to_one_are_cut(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    text = json.loads(corpus.store.read("report.json"))
    text["sets"]["near"]["predicted"] = [2.0, -1.0, float("nan")]
    corpus.store.put("report.json", json.dumps(text).encode())
    assert run_facts(corpus, {}).recall == (1.0, 0.0, 0.0)
