"""Blocklists: which lines are entries, and which pictures they forbid."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest

from tagmill.ingest.filters.blocklist import Blocklist, read_blocklists
from tagmill.shards.errors import ConfigError
from tests.ingest.pictures_apart import all_distances, away, random_hashes

BODY = b"a picture"
SHA, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()


def hex_of(pdq: np.ndarray) -> str:
    return "".join(f"{int(word):016x}" for word in pdq)


def test_bytes_are_known_by_either_digest() -> None:
    zero = [0, 0, 0, 0]
    assert Blocklist.parse(SHA.upper(), "x").blocks(BODY, SHA, zero) == "sha256"
    assert Blocklist.parse(f"# known\n\n md5:{MD5}\n", "x").blocks(BODY, SHA, zero) == "md5"
    assert Blocklist.parse(MD5, "x").blocks(b"other", hashlib.sha256(b"other").hexdigest(), zero) is None
    assert not Blocklist() and Blocklist().blocks(BODY, SHA, zero) is None


def test_hashes_are_matched_completely_in_a_long_list() -> None:
    draw = np.random.default_rng(0)
    listed = random_hashes(draw, 5000)
    rows = np.stack([away(draw, listed[number], number % 45) for number in range(400)])
    blocked = Blocklist(pdq=frozenset(map(hex_of, listed)))
    expected = (all_distances(rows, listed) <= 31).any(axis=1)
    assert blocked.near(rows.view(np.int64)).tolist() == expected.tolist()
    for pdq, near in zip(rows[:40], expected, strict=False):
        assert blocked.blocks(BODY, SHA, pdq.view(np.int64).tolist()) == ("pdq" if near else None)


@pytest.mark.parametrize("line", ["abc", SHA[:-1] + "g", "pdq:" + MD5, "md5:" + SHA, "sha1:" + MD5, "pdq:", "x" * 5000])
def test_a_line_that_is_no_hash_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{SHA}\n\n{line}\n")
    with pytest.raises(ConfigError, match=r"list\.txt, line 3"):
        read_blocklists([str(path)])


def test_both_spellings_and_a_list_of_one_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Lists are read like takedown lists, and what was read is logged."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "list.txt"
    for text, kind in [
        *[
            (f"pdq:{SHA}", ""),
            (f"PDQ {SHA.upper()}", ""),
            (f"\ufeffpdq,{SHA}", ""),
            (SHA, "pdq="),
            (f"{SHA},100,x.jpg", "pdq="),
        ],
        *[(f"hash={SHA},norm=128,delta=0,quality=100,filename=x", ""), (f"hash,quality\n{SHA},100", "pdq=")],
    ]:
        path.write_text(text, encoding="utf-8")
        assert read_blocklists([f"{kind}{path}"]) == Blocklist(pdq=frozenset([SHA])), text
        assert "list.txt: 1 pdq" in caplog.text
        caplog.clear()
    path.write_text(SHA)
    assert read_blocklists([str(path)]) == Blocklist(sha256=frozenset([SHA]))
    assert "list.txt: 1 sha256 (1 of 64 digits without a kind, read as sha256; PDQ is given as pdq=FILE)" in caplog.text


def test_a_list_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_blocklists([str(tmp_path / "none")])
    (tmp_path / "bytes").write_bytes(b"\xff\xff")
    with pytest.raises(ConfigError, match="line 1"):
        read_blocklists([str(tmp_path / "bytes")])
