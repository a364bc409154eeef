"""Tests the record of a checkpoint: what is whole, what is newest and best, and that damage is found."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.training.checkpoints.layout import (
    Done,
    best,
    newest,
    read_all,
    read_done,
    read_object,
    sized,
    steps_there,
)

RECORD = Done(
    step=6, images=144, steps=90, serial=2, score=0.5, world=2, identity={"lr": 0.1}, loader={"turn": 3}, objects={}
)


def put(store: Store, done: Done) -> None:
    store.put(f"checkpoints/{done.step}/done.json", done.json())


@given(
    st.integers(0, 1 << 60),
    st.none() | st.floats(0, 1),
    st.dictionaries(st.from_regex(r"[a-z0-9-]{1,9}\.json", fullmatch=True), st.binary()),
)
def test_a_record_comes_back(step: int, score: float | None, objects: dict[str, bytes]) -> None:
    record = replace(RECORD, step=step, score=score, objects={name: sized(data) for name, data in objects.items()})
    assert Done.parse(record.json(), "here") == record


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 3}, "format 3, this version reads 2"),
        ({"step": -1}, "step is not"),
        ({"step": True}, "step is not"),
        ({"score": "best"}, "score is not"),
        ({"loader": []}, "loader is not"),
        ({"novel": 1}, "unknown or missing: novel"),
        ({"objects": {"../up.json": [1, "0" * 64]}}, "the object '../up.json'"),
        ({"objects": {"a.json": [-1, "0" * 64]}}, "the object"),
        ({"objects": {"a.json": [1, "0" * 63]}}, "the object"),
        ({"objects": {"a.json": 7}}, "not a whole checkpoint"),
    ],
)
def test_other_records_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(IntegrityError, match=says):
        Done.parse(json.dumps({**json.loads(RECORD.json()), **change}).encode(), "here")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"[" * 100_000, RECORD.json()[:-2]])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Done.parse(data, "here")


def test_only_checkpoints_with_a_record_exist(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert steps_there(store) == []
    for step in (12, 3, 6):
        put(store, replace(RECORD, step=step))
    for name in ("9/metadata.json", "06/done.json", "done.json", "x/done.json", "6/a/done.json", "-4/done.json"):
        store.put(f"checkpoints/{name}", RECORD.json())
    assert steps_there(store) == [3, 6, 12]
    with pytest.raises(ConfigError, match=r"no checkpoint of step 9 .*3, 6, 12"):
        read_done(store, 9)


def test_a_damaged_record_is_found_and_the_others_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    put(store, RECORD)
    store.put("checkpoints/7/done.json", RECORD.json())  # a copy of another step's
    store.put("checkpoints/8/done.json", RECORD.json()[:40])
    records, damaged = read_all(store)
    assert list(records) == [6] and sorted(damaged) == [7, 8]
    assert "the checkpoint of step 6, not 7" in str(damaged[7]) and "--resume" in str(damaged[8])


def test_the_newest_was_written_last_and_the_best_has_the_highest_score() -> None:
    records = {
        step: replace(RECORD, step=step, serial=serial, score=score)
        for step, serial, score in ((3, 7, None), (6, 5, 0.5), (9, 6, 0.5), (12, 1, 0.4))
    }
    assert newest(records) == 3 and best(records) == 6
    assert newest({}) is None and best({3: records[3]}) is None


def test_an_object_is_compared_with_its_record(tmp_path: Path) -> None:
    store, done = Store(str(tmp_path)), replace(RECORD, objects={"a.json": sized(b"abc")})
    with pytest.raises(IntegrityError, match="missing"):
        read_object(store, done, "a.json")
    with pytest.raises(IntegrityError, match=r"has no b\.json"):
        read_object(store, done, "b.json")
    for content in (b"ab", b"abd", b"abcd"):
        store.put("checkpoints/6/a.json", content)
        with pytest.raises(IntegrityError):
            read_object(store, done, "a.json")
    store.put("checkpoints/6/a.json", b"abc")
    assert read_object(store, done, "a.json") == b"abc"
