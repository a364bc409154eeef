"""Digests of a list are read in every form that lists have, and an image with another one is noticed."""

import base64
import hashlib
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.listed_digests import (
    check_digests,
    decided,
    listed_fields,
    marks_altered,
    md5_of,
    read_digests,
    verified,
)
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.formats.record import key_of

SIZES = {"sha256": 32, "md5": 16}
ONE, OTHER = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"other").hexdigest()


def config(**settings: Any) -> IngestConfig:
    return IngestConfig(input=("list.parquet",), output="corpus", **settings)


@given(st.data(), st.sampled_from(sorted(SIZES)))
def test_every_written_form_of_a_digest_is_the_same_digest(data: st.DataObject, kind: str) -> None:
    digest = data.draw(st.binary(min_size=SIZES[kind], max_size=SIZES[kind]))
    forms = [digest.hex(), digest.hex().upper(), f" {digest.hex()}\n"]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        forms += [encode(digest).decode(), encode(digest).decode().rstrip("=")]
    assert set(read_digests(pa.array(forms), kind).to_pylist()) == {digest.hex()}
    for binary in (pa.binary(), pa.large_binary(), pa.binary(SIZES[kind])):
        assert read_digests(pa.array([digest], binary), kind).to_pylist() == [digest.hex()]


def test_nothing_is_null_and_anything_else_is_unreadable() -> None:
    cells = [
        None,
        "",
        "  ",
        "nan",
        "None",
        "abc",
        ONE[:-1],
        ONE + "0",
        "g" * 64,
        "é" * 43,
        base64.b64encode(b"x" * 31).decode(),
    ]
    found = read_digests(pa.array(cells), "sha256").to_pylist()
    assert found[:5] == [None] * 5
    assert [text[0] for text in found[5:]] == ["?"] * 6
    assert found[5] == "?abc"
    assert read_digests(pa.array(["x" * 100_000]), "md5").to_pylist() == ["?" + "x" * 64]
    coded = pa.array([ONE, None, ONE]).dictionary_encode()
    assert read_digests(coded, "sha256").to_pylist() == [ONE, None, ONE]


def test_a_column_without_any_digest_is_an_error_that_names_the_right_flag() -> None:
    md5 = read_digests(pa.array([md5_of(b"one"), None]), "sha256")
    with pytest.raises(InputError, match=r"no sha256.*--md5-column"):
        check_digests(md5, "sha256", "hash", "list.csv")
    sha256 = read_digests(pa.array([ONE]), "md5")
    with pytest.raises(InputError, match=r"no md5.*--sha256-column"):
        check_digests(sha256, "md5", "hash", "list.csv")
    with pytest.raises(InputError, match=r"'17'.*32 hex digits"):
        check_digests(read_digests(pa.array(["17"]), "md5"), "md5", "hash", "list.csv")
    check_digests(read_digests(pa.array(["17", ONE]), "sha256"), "sha256", "hash", "list.csv")
    check_digests(read_digests(pa.array([None], pa.string()), "sha256"), "sha256", "hash", "list.csv")


def image(**columns: Any) -> dict[str, Any]:
    return {"reason": None, "sha256": ONE, "md5": md5_of(b"one"), "key": key_of(ONE), "http_status": 200, **columns}


def test_all_digests_of_a_row_must_be_those_of_its_image() -> None:
    assert verified({"listed_sha256": ONE}, image()) == (True, None)
    assert verified({"listed_sha256": ONE, "listed_md5": md5_of(b"one")}, image()) == (True, None)
    equal, detail = verified({"listed_sha256": OTHER}, image())
    assert (equal, detail) == (False, f"sha256 {ONE}, not the list's")
    assert verified({"listed_sha256": ONE, "listed_md5": md5_of(b"other")}, image())[0] is False
    assert verified({"listed_sha256": "?17", "listed_md5": None}, image()) == (False, "the list's sha256 is none: '17'")


def test_there_is_nothing_to_compare_without_a_digest_or_an_image() -> None:
    assert verified({}, image()) == (None, None)
    assert verified({"listed_sha256": None, "listed_md5": None}, image()) == (None, None)
    gone = {"reason": Reason.NOT_FOUND, "detail": "HTTP 404"}
    assert verified({"listed_sha256": OTHER, "listed_md5": "?"}, gone) == (None, None)


def test_of_an_image_in_the_extended_corpus_the_key_is_compared() -> None:
    known = {"reason": Reason.DUPLICATE, "key": key_of(ONE)}
    assert verified({"listed_sha256": ONE}, known) == (True, None)
    assert verified({"listed_sha256": OTHER}, known)[0] is False
    assert verified({"listed_md5": md5_of(b"other")}, known) == (None, None)


def test_an_altered_image_is_rejected_or_marked() -> None:
    rejected, equal = decided({"listed_sha256": OTHER}, image(), marks=False)
    assert equal is False
    assert rejected == {
        "reason": Reason.ALTERED,
        "detail": f"sha256 {ONE}, not the list's",
        **dict.fromkeys(("sha256", "key", "fetched_at", "seconds", "host")),
        "http_status": 200,
    }
    marked, _ = decided({"listed_sha256": OTHER}, image(), marks=True)
    assert (marked["reason"], marked["altered"], marked["sha256"]) == (None, True, ONE)
    for row, altered in (({"listed_sha256": ONE}, False), ({}, None)):
        assert decided(row, image(), marks=True)[0]["altered"] is altered
        same, _ = decided(row, image(), marks=False)
        assert same == {name: value for name, value in image().items() if name != "md5"}


def test_only_lists_with_digests_have_their_columns() -> None:
    assert listed_fields(config()) == []
    both = config(sha256_column="a", md5_column="b", altered="keep")
    assert [field.name for field in listed_fields(both)] == ["listed_sha256", "listed_md5"]
    assert marks_altered(both)
    assert not marks_altered(config(sha256_column="a"))
    assert not marks_altered(config(altered="keep"))
    with pytest.raises(ConfigError, match="altered"):
        config(md5_column="b", altered="keep", extra_columns=("altered",))
    assert config(md5_column="b", extra_columns=("altered",)).extra_columns == ("altered",)


def test_what_earlier_runs_did_is_still_the_same_config() -> None:
    assert config().digest() != config(md5_column="b").digest()
    assert not {"sha256_column", "md5_column", "altered"} & set(config().deciding())
