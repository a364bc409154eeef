"""The rules of takedown lists: what they match, what is refused, and that a list does not reveal the URLs in it."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.filters.takedown_rules import Denylist, TakedownRule, read_denylist, rule, rules_in, url_digest
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row, Takedown
from tests.ingest.tagged import make

URL = "https://example.org/a/picture.jpg"


def denied(*rules: tuple[str, str]) -> Denylist:
    return Denylist(frozenset(rule(*each) for each in rules))


@pytest.mark.parametrize(
    ("url", "by"),
    [
        (URL, "url"),
        (" HTTPS://Example.ORG:443/a/picture.jpg#top ", "url"),
        ("http://example.org/a/picture.jpg", None),
        (URL + "?x", None),
        ("http://bad.example/anything", "host"),
        ("http://user:word@BAD.example:8080/x", "host"),
        ("http://www.bad.example/", None),
        ("http://all.example/", "host"),
        ("https://a.b.all.example/x?y", "host"),
        ("http://notall.example/", None),
        ("http://all.example.org/", None),
        ("http://xn--bcher-kva.example/", "host"),
        ("http://bücher.example/", "host"),
        ("http://b%C3%BCcher.example/", "host"),
        ("http://www.☕.example/", "host"),
        ("http://www.xn--53h.example/", "host"),
        ("ftp://bad.example/", None),
        ("bad.example", None),
        ("", None),
        (None, None),
    ],
)
def test_urls_and_hosts(url: str | None, by: str | None) -> None:
    rules = denied(
        ("url", URL),
        ("host", "bad.Example"),
        ("host", ".all.example"),
        ("host", "bücher.example"),
        ("host", ".☕.example"),
    )
    assert rules.url(url) == by
    assert Denylist().url(url) is None


def test_a_list_does_not_reveal_urls() -> None:
    rules = denied(("url", URL))
    assert b"example" not in rules.json() and rules.json().decode().count(url_digest(URL)) == 1


words = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=4, max_size=4)


def hex_of(pdq: list[int]) -> str:
    return "".join(f"{word & (1 << 64) - 1:016x}" for word in pdq)


@given(words, st.sets(st.integers(0, 255), max_size=70), st.integers(0, 64))
def test_pdq_matches_by_the_bits_that_differ(pdq: list[int], flipped: set[int], distance: int) -> None:
    number = int(hex_of(pdq), 16)
    for bit in flipped:
        number ^= 1 << bit
    rules = Denylist(frozenset([rule("pdq", f"{number:064x}", distance)]))
    assert rules.near(np.array([pdq], np.int64)).tolist() == [len(flipped) <= distance]
    assert rules.image("0" * 64, pdq) == ("pdq" if len(flipped) <= distance else None)


def test_exact_pictures() -> None:
    digest, other = sha256_hex(b"picture"), sha256_hex(b"other")
    rules = denied(("sha256", digest.upper()), ("key", other[:32]))
    assert rules.image(digest, (0, 0, 0, 0)) == "sha256" and rules.image(other, (0, 0, 0, 0)) == "key"
    assert rules.image(sha256_hex(b""), (0, 0, 0, 0)) is None
    assert denied(("sha256", digest[:63] + "0")).image(digest, (0, 0, 0, 0)) is None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[
            ("url", "example.org/x"),
            ("url", "ftp://example.org/x"),
            ("url", "http://"),
            ("key", "a" * 31),
            ("key", "g" * 32),
        ],
        *[
            ("sha256", "a" * 32),
            ("pdq", "a" * 63),
            ("pdq", "pdq"),
            ("sha256", "hash,file"),
            ("host", ""),
            ("host", "a/b"),
            ("host", "..a"),
            ("host", "http://a/b"),
            ("host", "*"),
            ("url", "http://bad.example/*"),
            ("url", "http://exa mple.org/x"),
            ("url", "http://example.org:99999/x"),
        ],
        *[("host", "a b"), ("host", "."), ("name", "x")],
    ],
)
def test_what_can_be_no_rule_is_refused_in_one_line(kind: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rule(kind, text)
    assert "\n" not in str(caught.value) and caught.value.remedy


def test_a_list_of_one_kind_and_one_of_several(tmp_path: Path) -> None:
    one, several = tmp_path / "hosts.txt", tmp_path / "list.txt"
    one.write_text("# theirs\n\nexample.org\n  .all.example  \n")
    several.write_text(f"host example.org\nurl {URL}#x\npdq {'0' * 64}\n")
    assert rules_in(str(one), "host").rules == {
        TakedownRule("host", "example.org"),
        TakedownRule("host", ".all.example"),
    }
    assert read_denylist([str(one.with_name("list.txt"))]).rules == {
        TakedownRule("host", "example.org"),
        TakedownRule("url", url_digest(URL)),
        TakedownRule("pdq", "0" * 64, 31),
    }
    one.write_text("example.org\nno host\n")
    with pytest.raises(ConfigError, match=r"'no host' is no host \(.*hosts\.txt, line 2\)"):
        rules_in(str(one), "host")
    with pytest.raises(ConfigError, match="no such file"):
        read_denylist([str(tmp_path / "nowhere.txt")])
    with pytest.raises(ConfigError, match="no such file"):
        read_denylist([str(tmp_path / "nowhere.parquet")])
    several.with_suffix(".parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="not a takedown list"):
        read_denylist([str(several.with_suffix(".parquet"))])


def rules_of(folder: Path, text: str, kind: str = "") -> frozenset[TakedownRule]:
    (folder / "list.txt").write_text(text, encoding="utf-8")
    return read_denylist([kind + str(folder / "list.txt")]).rules


def test_every_spelling_is_read_alike(tmp_path: Path) -> None:
    """As blocklists read it; with a byte order mark, in upper case, with the kind in the list or in front of its name."""
    pdq, digest, key = "0F" * 32, "AB" * 32, "CD" * 16
    wanted = {TakedownRule("pdq", pdq.lower(), 31)}
    for line in (f"pdq {pdq}", f"pdq:{pdq}", f"PDQ = {pdq}", f"hash={pdq},norm=128,quality=99,filename=x"):
        assert rules_of(tmp_path, "\ufeff" + line) == rules_of(tmp_path, line, "pdq=") == wanted
    assert rules_of(tmp_path, pdq, "pdq=") == rules_of(tmp_path, f"file,PDQ\nx,{pdq}") == wanted
    assert (
        rules_of(tmp_path, digest) == rules_of(tmp_path, f"sha256:{digest}") == {TakedownRule("sha256", digest.lower())}
    )
    assert (
        rules_of(tmp_path, f"key {key}")
        == rules_of(tmp_path, f"KEY:{key}", "key=")
        == {TakedownRule("key", key.lower())}
    )
    host = {TakedownRule("host", ".bad.example")}
    for line in ("host *.bad.example", "HOST: .bad.example", "host=.Bad.example  # theirs"):
        assert rules_of(tmp_path, line) == rules_of(tmp_path, line, "host=") == host
    assert rules_of(tmp_path, "*.bad.example # theirs\n  # none", "host=") == host
    assert rules_of(tmp_path, f"url:{URL}") == rules_of(tmp_path, URL, "url=") == {TakedownRule("url", url_digest(URL))}


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        *[
            ("example.org", "", "begin it with one of key, sha256"),
            ("host www.*", "", "pattern"),
            ("a" * 32, "", "write key"),
        ],
        *[
            (f"md5:{'a' * 32}", "", "--blocklist"),
            (f"pdq {'a' * 63}", "", "no hash"),
            ("url x", "host=", "kind url in a list"),
        ],
        *[(f"pdq:{'a' * 64}", "sha256=", "kind pdq in a list"), (f"{'a' * 64},{'b' * 64}", "", "several hashes")],
    ],
)
def test_a_line_that_says_nothing_is_named_with_the_way_out(tmp_path: Path, line: str, kind: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        rules_of(tmp_path, f"# ours\n{line}", kind)
    assert caught.value.where.endswith("list.txt, line 2") and caught.value.remedy


def test_the_entries_of_a_list_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rules_of(tmp_path, f"host a.example\nhost b.example\npdq {'0' * 64}\n{'1' * 64}")
    assert "list.txt: 2 host, 1 pdq, 1 sha256 (1 of 64 digits without a kind" in caplog.text


def test_a_corpus_gives_its_rules_and_what_they_matched(tmp_path: Path) -> None:
    """A URL says nothing of the same picture at another place; its key does."""
    corpus = make(tmp_path, [[["cat"]]]).corpus
    assert not read_denylist([corpus.store.url])
    rows = [
        Row(kind="host", value="example.org", at="now"),
        Row(kind=SAMPLE, value="a" * 32, shard="000000", ordinal=0, at="now"),
    ]
    named = record(corpus, rows).file.takedown
    assert named is not None
    wanted = {TakedownRule("host", "example.org"), TakedownRule("key", "a" * 32)}
    assert read_denylist([corpus.store.url]).rules == wanted
    assert read_denylist([f"{corpus.store.url}/{named.path}"]).rules == wanted
    assert Denylist.of(Takedown()) == Denylist()


@given(st.sets(st.tuples(st.sampled_from(["key", "host"]), st.integers(0, 99)), max_size=20))
def test_rules_have_one_form(entries: set[tuple[str, int]]) -> None:
    made = [rule(kind, f"{number:032x}" if kind == "key" else f"h{number}.example") for kind, number in sorted(entries)]
    one, other = Denylist(frozenset(made)), Denylist(frozenset(reversed(made)))
    assert one.json() == other.json() and one.digest == other.digest and Denylist.parse(one.json()) == one
    assert one | other == one and bool(one) == bool(entries)
