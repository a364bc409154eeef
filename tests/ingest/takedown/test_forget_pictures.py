"""Small images of what is taken down go, with the page; the others stay."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.filters.takedown_rules import Denylist, rule
from tagmill.ingest.takedown.forget_pictures import forget_pictures
from tagmill.ingest.takedown.takedown_command import TakedownConfig, take_down
from tagmill.shards.formats.report_pictures import (
    PICTURES,
    REPORT_PAGE,
    REPORT_PICTURES,
    SELECTION_PAGES,
    pictures_bytes,
    read_pictures_file,
)
from tagmill.shards.storage.store import Store
from tests.browse.worded import key_of, make_worded, url_of

SHA256 = "ab" * 32


def row(row_id: int, **facts: Any) -> dict[str, Any]:
    return {**dict.fromkeys(PICTURES.names), "row_id": row_id, "jpeg": b"a jpeg", **facts}


ROWS = [
    row(0, key="0" * 32, sha256="0" * 64, url="http://good.example/1"),
    row(1, key=SHA256[:32], sha256=SHA256),
    row(2, yields_to=SHA256[:32]),
    row(3, url="http://bad.example/2"),
    row(4, pdq0=0, pdq1=0, pdq2=0, pdq3=3),
    row(5, set="pets", name="1.jpg", sha256="c" * 64),
]


@pytest.mark.parametrize(
    ("kind", "value", "gone"),
    [
        ("key", SHA256[:32], {1, 2}),
        ("sha256", SHA256, {1}),
        ("url", "http://bad.example/2", {3}),
        ("host", ".example", {0, 3}),
        ("pdq", "0" * 64, {4}),
        ("sha256", "c" * 64, {5}),
        ("url", "http://other.example/", set()),
    ],
)
def test_each_kind_of_rule(tmp_path: Path, kind: str, value: str, gone: set[int]) -> None:
    store = Store(str(tmp_path))
    store.put(REPORT_PICTURES, pictures_bytes(ROWS))
    store.put(REPORT_PAGE, b"a page")
    store.put(f"{SELECTION_PAGES}/v-0123456789ab.html", b"a page")
    assert forget_pictures(store, Denylist(frozenset([rule(kind, value)]))) == len(gone)
    left = read_pictures_file(store.read(REPORT_PICTURES))
    assert {each["row_id"] for each in left} == set(range(6)) - gone and not store.exists(REPORT_PAGE)
    assert not store.names(SELECTION_PAGES)


def test_a_file_that_cannot_be_read_is_deleted_and_none_is_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert forget_pictures(store, Denylist()) == 0
    store.put(REPORT_PICTURES, b"not a table")
    assert forget_pictures(store, Denylist()) == 0 and not store.exists(REPORT_PICTURES)


def test_the_command_forgets_copies_of_the_samples_that_it_finds(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path / "corpus")
    corpus.store.put(REPORT_PICTURES, pictures_bytes([row(110, yields_to=key_of(5)), row(111, yields_to=key_of(6))]))
    corpus.store.put(REPORT_PAGE, b"a page")
    (tmp_path / "urls.txt").write_text(url_of(5))
    chosen: dict[str, Any] = {"corpus": str(tmp_path / "corpus"), "urls": str(tmp_path / "urls.txt")}
    take_down(TakedownConfig(**chosen, dry_run=True), datetime.now(UTC))
    assert corpus.store.exists(REPORT_PAGE) and len(read_pictures_file(corpus.store.read(REPORT_PICTURES))) == 2
    take_down(TakedownConfig(**chosen), datetime.now(UTC))
    assert [each["row_id"] for each in read_pictures_file(corpus.store.read(REPORT_PICTURES))] == [111]
    assert not corpus.store.exists(REPORT_PAGE)
