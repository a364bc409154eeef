"""The files say what was scored, any class name comes back as it was, and other files are refused in one line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import CorpusError, Store
from tagmill.studies.scores.score_files import (
    DONE_FILE,
    FACTS_FILE,
    ScoreFacts,
    ScoreTotals,
    facts_json,
    open_scores,
    read_facts,
    totals_json,
)
from tagmill.training.trained.labels import ModelLabel

FACTS = ScoreFacts(
    {"name": "net", "digest": "ab"}, "softmax", (ModelLabel("a", ("n1",), ("b",)), ModelLabel("a")), 2,
    {"name": "c", "manifest": "cd"}, "train", 10, 4, 2, "cpu", {"torch": "2"},
)  # fmt: skip
TOTALS = ScoreTotals(9, {"altered": 1}, 18, "ef")


def put(folder: Path, facts: bytes | None = None, totals: bytes | None = None) -> str:
    for name, data in ((FACTS_FILE, facts), (DONE_FILE, totals)):
        if data is not None:
            Store(str(folder)).put(name, data)
    return str(folder)


def test_complete_scores_are_opened_wherever_they_are(tmp_path: Path) -> None:
    one = open_scores(put(tmp_path / "one", facts_json(FACTS), totals_json(TOTALS)))
    other = open_scores(put(tmp_path / "two", facts_json(FACTS), totals_json(TOTALS)))
    assert (one.facts, one.totals, one.labels) == (FACTS, TOTALS, FACTS.labels)
    assert one.parts == [f"{tmp_path}/one/parts/{number:06d}.parquet" for number in range(3)]
    assert one.digest == other.digest and len(one.digest) == 64
    changed = open_scores(put(tmp_path / "two", facts_json(replace(FACTS, top=1)), totals_json(TOTALS)))
    assert changed.digest != one.digest
    assert [*map(FACTS.places, range(3))] == [range(4), range(4, 8), range(8, 10)]


@given(st.lists(st.tuples(st.text(), st.lists(st.text(), max_size=2), st.lists(st.text(), max_size=2)), max_size=4))
def test_any_class_names_come_back(names: list[tuple[str, list[str], list[str]]]) -> None:
    labels = tuple(ModelLabel(name, tuple(synsets), tuple(words)) for name, synsets, words in names)

    class Memory(Store):
        def read(self, name: str) -> bytes:
            return facts_json(replace(FACTS, labels=labels))

    assert read_facts(Memory("memory://facts")) == replace(FACTS, labels=labels)
    assert facts_json(replace(FACTS, labels=labels)).isascii()


@pytest.mark.parametrize(
    ("facts", "totals", "says"),
    [
        (None, None, "no scores here: no scores.json"),
        (facts_json(FACTS), None, "not complete: no done.json .*run the tagmill teach score command"),
        (b"[]", None, "not a file of scores"),
        (b"{", None, "not a file of scores"),
        (facts_json(FACTS).replace(b'"format": "1"', b'"format": "2"'), None, "scores of format '2'"),
        (facts_json(FACTS).replace(b"train", b"trial"), None, "split 'trial'"),
        (facts_json(FACTS).replace(b'"top": 2', b'"top": 0'), None, "a count below 1"),
        (json.dumps({"format": "1"}).encode(), None, "KeyError"),
        (facts_json(FACTS), b'{"format": "1", "rows": 3}', "not a file of scores: TypeError"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, facts: bytes | None, totals: bytes | None, says: str) -> None:
    with pytest.raises(CorpusError, match=says) as raised:
        open_scores(put(tmp_path, facts, totals))
    assert "\n" not in str(raised.value) and raised.value.remedy
