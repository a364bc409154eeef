"""Hashes in lists: how people and tools write them, and what is refused."""

import hashlib
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.similarity.hex_hashes import (
    HashReader,
    content_lines,
    kind_and_path,
    log_hash_counts,
    pdq_words,
    sha256_text,
)
from tagmill.shards.errors import ConfigError

LONG, SHORT = "Ab" * 32, "0F" * 16


def read(text: str, kind: str | None = None) -> list[tuple[str, str, bool]]:
    reader = HashReader(kind)
    return [
        (entry.kind, entry.digits, entry.kind_given)
        for _, line in content_lines(text)
        for entry in reader.entries(line)
    ]


def test_normal_forms() -> None:
    assert sha256_text(f" {LONG}\n") == sha256_text(f"sha256:{LONG}") == LONG.lower()
    expected = [-1, 1, -(1 << 63), 0]
    for front in ("", "pdq:", "PDQ "):
        assert pdq_words(front + "F" * 16 + "0" * 15 + "1" + "8" + "0" * 31) == expected


@pytest.mark.parametrize("text", ["", "g" * 64, "a" * 63, "a" * 65, "٠" * 64, "0x" + "a" * 62, "md5:" + "a" * 64])
def test_anything_else_is_none(text: str) -> None:
    assert sha256_text(text) is None and pdq_words(text) is None


def test_a_hash_of_another_kind_is_none() -> None:
    assert sha256_text(f"pdq:{LONG}") is None and pdq_words(f"sha256:{LONG}") is None


@pytest.mark.parametrize(
    "line",
    [
        *[
            f"pdq:{LONG}",
            f"pdq {LONG}",
            f"PDQ: {LONG}",
            f"  Pdq\t{LONG}  ",
            f"pdq={LONG}",
            f"pdq,{LONG}",
            f'"pdq","{LONG}"',
        ],
        *[f"hash={LONG},norm=128,delta=0,quality=100,filename=a b.jpg", f"pdq {LONG} # theirs", f"pdq;{LONG};100"],
    ],
)
def test_a_kind_is_given_in_many_ways(line: str) -> None:
    assert read(line) == read(line, "pdq") == [("pdq", LONG.lower(), True)]
    with pytest.raises(ConfigError, match="of kind pdq in a list of sha256"):
        read(line, "sha256")


@pytest.mark.parametrize(
    "line", [LONG, LONG.upper(), f"{LONG},100,x.jpg", f"{LONG}  dir/x.jpg", f'"{LONG}"', f"hash={LONG}"]
)
def test_without_a_kind_the_length_decides_unless_the_list_has_one(line: str) -> None:
    assert read(line) == [("sha256", LONG.lower(), False)]
    assert read(line, "pdq") == [("pdq", LONG.lower(), True)]
    assert read(line.replace(LONG, SHORT).replace(LONG.upper(), SHORT)) == [("md5", SHORT.lower(), False)]


def test_a_first_line_of_names_makes_a_table() -> None:
    table = f"name;SHA-256;PDQ;md5\nx;{LONG};;\ny;;pdq {LONG};{SHORT}\n"
    assert read(table) == [
        *[("sha256", LONG.lower(), True), ("pdq", LONG.lower(), True)],
        ("md5", SHORT.lower(), True),
    ]
    assert read("hash,quality,filename\n" + f'{LONG},100,"a,b.jpg"', "pdq") == [("pdq", LONG.lower(), True)]
    assert read(f"hash\tfile\n{LONG}\tx") == [("sha256", LONG.lower(), False)]
    with pytest.raises(ConfigError, match="row without a hash"):
        read("name,pdq\nx,\n")
    with pytest.raises(ConfigError, match="no hash"):
        read(f"name,md5\nx,{SHORT}", "pdq")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        *[("abc", "no hash"), (LONG[:-1] + "g", "no hash"), (f"pdq:{SHORT}", "no hash"), ("pdq:", "no hash")],
        *[
            (f"md5:{LONG}", "no hash"),
            (f"sha1:{SHORT}", "no hash"),
            ("x" * 500_000, "no hash"),
            (f"x,{LONG}", "no hash"),
        ],
        *[(f"{SHORT},{LONG}", "several"), (f"{LONG} {LONG}", "several"), ("pdq" + " " * 100_000 + "x", "no hash")],
    ],
)
def test_invalid_lines_are_refused(line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read(line)
    assert "\n" not in str(caught.value) and caught.value.remedy


hashes = st.tuples(st.sampled_from(["md5", "pdq", "sha256"]), st.binary(min_size=32, max_size=32))


@given(
    st.lists(hashes),
    st.sampled_from([":", " ", "=", ",", "\t", " : "]),
    st.booleans(),
    st.sampled_from(["", ",100,x", " *f"]),
)
def test_what_is_written_is_read(entries: list[tuple[str, bytes]], mark: str, upper: bool, rest: str) -> None:
    wanted = [(kind, data.hex()[: 32 if kind == "md5" else 64], True) for kind, data in entries]
    lines = [f"{kind}{mark}{digits}" for kind, digits, _ in wanted]
    assert read("".join((line.upper() if upper else line) + rest + "\r\n" for line in lines)) == wanted


@given(st.text(max_size=100) | st.text("md5pqsha26:=, \"'\t0123456789abcdef", max_size=90))
def test_any_text_is_entries_or_an_error(text: str) -> None:
    try:
        found = read(text)
    except ConfigError as error:
        assert error.remedy
    else:
        assert all(len(digits) == (32 if kind == "md5" else 64) for kind, digits, _ in found)


def test_a_list_that_may_be_pdq_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A PDQ hash has half of its bits set; sha256 digests scatter around that."""
    caplog.set_level(logging.INFO)
    draw = np.random.default_rng(0)
    halves = [np.packbits(draw.permutation(np.arange(256) % 2)).tobytes().hex() for _ in range(20)]
    digests = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    for lines, kind, told in [
        *[(halves, None, True), (halves[:2], None, False), (halves, "pdq", False), (digests, None, False)],
        *[([f"sha256:{each}" for each in halves], None, False), ([*halves, *digests[:1]], None, True)],
    ]:
        reader = HashReader(kind)
        for line in lines:
            reader.entries(line)
        caplog.clear()
        log_hash_counts("blocklist", "b.txt", reader)
        assert (len(caplog.records) == 2 and "give pdq=b.txt" in caplog.text) == told, (lines, kind)
        assert f"{len(lines)} {kind or 'sha256'}" in caplog.text


def test_the_summary_counts_inferred_kinds() -> None:
    reader = HashReader()
    assert reader.summary == "no entries"
    for line in (LONG, f"sha256:{LONG}", SHORT, f"pdq {LONG}"):
        reader.entries(line)
    assert reader.summary.startswith("1 md5, 1 pdq, 2 sha256 (1 of 64 digits without a kind, read as sha256")


def test_lines_and_places() -> None:
    assert list(content_lines("# a\n\n x \r\n  # b\ny")) == [(3, "x"), (5, "y")]
    assert kind_and_path("pdq=a=b", ["pdq"]) == ("pdq", "a=b")
    assert kind_and_path("./pdq=a", ["pdq"]) == (None, "./pdq=a") and kind_and_path("x=a", ["pdq"]) == (None, "x=a")
