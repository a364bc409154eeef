"""Which rejected rows keep an image: a function of the rows, however they are divided."""

import hashlib
import tempfile
from collections import Counter
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.pack import kept_pictures
from tagmill.ingest.pack.kept_pictures import KEPT, KeptPictures, kept_of_groups, key_limits
from tagmill.ingest.parts.row_groups import IMAGE
from tagmill.shards.formats.report_pictures import small_picture
from tagmill.shards.storage.store import Store
from tests.pipeline.corpora import picture

JPEG = picture(1)
REASONS = (None, "near_duplicate", "evaluation", "placeholder", "duplicate", "blocked", "taken_down")


def row(number: int) -> dict[str, Any]:
    sha256 = hashlib.sha256(str(number % 300).encode()).hexdigest()
    facts = {"row_id": number, "key": sha256[:32], "sha256": sha256, "url": f"http://h/{number}"}
    return {**facts, **{f"pdq{word}": number for word in range(4)}, IMAGE: None if number % 11 == 0 else JPEG}


def tables(numbers: list[int], reasons: list[str | None]) -> tuple[pa.Table, pa.Table]:
    decisions = {"reason": pa.array(reasons, pa.string()), "yields_to": pa.array([None] * len(numbers), pa.string())}
    return pa.Table.from_pylist([row(number) for number in numbers]), pa.table(decisions)


def kept(store: Store, groups: list[list[tuple[int, str | None]]], limits: dict[str, int]) -> list[dict[str, Any]]:
    labels = []
    for number, group in enumerate(groups):
        pictures = KeptPictures(limits)
        for start in range(0, len(group), 7):
            some = group[start : start + 7]
            pictures.add(*tables([each for each, _ in some], [reason for _, reason in some]))
        if pictures.put(store, f"{number:06d}"):
            labels.append(f"{number:06d}")
    return kept_of_groups(store, labels)


rows = st.lists(
    st.tuples(st.integers(0, 2000), st.sampled_from(REASONS)), min_size=1, max_size=60, unique_by=lambda r: r[0]
)


@given(rows, st.data())
def test_groups_keep_what_one_group_of_all_keeps(some: list[tuple[int, str | None]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(some)))
    limits = key_limits(Counter(reason for _, reason in some if reason))
    few = dict.fromkeys(KEPT, 4)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(kept_pictures.KEPT, few):
        whole = kept(Store(f"{folder}/whole"), [some], limits)
        divided = kept(Store(f"{folder}/divided"), [some[cut:], some[:cut]], limits)
    names = [(each["reason"], each["key"]) for each in whole]
    assert names == [(each["reason"], each["key"]) for each in divided] and len(set(names)) == len(names)
    for reason in KEPT:
        there = {row(number)["key"] for number, of in some if of == reason and number % 11}
        assert [key for of, key in names if of == reason] == sorted(there)[:4]
    assert {reason for reason, _ in names} <= set(KEPT)


@given(st.dictionaries(st.sampled_from(["near_duplicate", "evaluation", "timeout"]), st.integers(1, 10**10)))
def test_limits_let_some_rows_through_whatever_their_number(reasons: dict[str, int]) -> None:
    limits = key_limits(reasons)
    assert set(limits) == set(reasons) & set(KEPT)
    for reason, limit in limits.items():
        expected = reasons[reason] * limit / (1 << 64)
        assert limit <= 1 << 64 and expected >= min(reasons[reason], 2 * KEPT[reason]) * 0.999
        assert expected <= 4 * KEPT[reason] or limit == 1 << 64


def test_a_row_keeps_its_facts_and_a_small_image(tmp_path: str) -> None:
    store, pictures = Store(str(tmp_path)), KeptPictures({"near_duplicate": 1 << 64})
    facts, decisions = tables([5], ["near_duplicate"])
    pictures.add(facts, decisions.set_column(1, "yields_to", pa.array(["f" * 32])))
    assert pictures.put(store, "000000") == 1
    (found,) = kept_of_groups(store, ["000000"])
    expected = {name: value for name, value in row(5).items() if name != IMAGE}
    assert expected.items() <= found.items() and found["yields_to"] == "f" * 32
    assert found["jpeg"] == small_picture(JPEG)


@pytest.mark.parametrize("jpeg", [None, b"", b"no image", JPEG[:300]])
def test_an_image_that_is_missing_or_damaged_is_not_kept(tmp_path: str, jpeg: bytes | None) -> None:
    pictures = KeptPictures({"evaluation": 1 << 64})
    facts, decisions = tables([5], ["evaluation"])
    place = facts.column_names.index(IMAGE)
    pictures.add(facts.set_column(place, IMAGE, pa.array([jpeg], pa.binary())), decisions)
    pictures.add(facts.drop_columns([IMAGE]), decisions)
    assert pictures.put(Store(str(tmp_path)), "000000") == 0 and not Store(str(tmp_path)).names("")
