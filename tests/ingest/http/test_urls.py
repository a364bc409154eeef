"""What can be asked for over HTTP, as it is written, and nothing else."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from tagmill.ingest.http import urls
from tagmill.ingest.http.urls import describe_bad_url, normalise, parsed_url, resolve_redirect, url_hash


@pytest.mark.parametrize(
    "url",
    [
        *[
            "",
            "x",
            "ftp://a/b",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "http://[::1",
            "http://a:99999/",
            "//a/b",
        ],
        *["http://a b/", "http://a:b/", "data:image/png;base64,xx", "http://\ud800/", "http://" + "a" * 300 + "/"],
    ],
)
def test_texts_that_are_no_urls(url: str) -> None:
    assert parsed_url(url) is None


@given(st.text(max_size=30), st.sampled_from(["", "http:", "http://", "https://[", "http://a:"]))
def test_any_text_is_a_url_or_not(text: str, prefix: str) -> None:
    found = parsed_url(prefix + text)
    assert found is None or (found.scheme in ("http", "https") and found.host)


def test_path_and_query_are_kept_as_written() -> None:
    """They may be signed."""
    assert str(parsed_url("https://a.org:8443/%7ea%2f+?b=%2F&c=d+e")) == "https://a.org:8443/%7ea%2f+?b=%2F&c=d+e"
    assert str(parsed_url("http://a/\u00fc")) == "http://a/%C3%BC"


@pytest.mark.parametrize("url", ["http://münchen.example:81/b?c", "http://xn--mnchen-3ya.example:81/b?c"])
def test_hosts_with_an_international_name_are_asked_for_by_its_ascii_form(url: str) -> None:
    found = parsed_url(normalise(url))
    assert found is not None
    assert (found.raw_host, found.port, str(found)) == (
        "xn--mnchen-3ya.example",
        81,
        "http://xn--mnchen-3ya.example:81/b?c",
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *[
            ("", "no URL"),
            ("cat.jpg", "no scheme"),
            ("ftp://a/b", "scheme ftp"),
            ("data:image/png;base64,xx", "scheme data"),
        ],
        *[
            ("http://", "no host, or a host or port that is none"),
            ("HTTP://a b/", "no host, or a host or port that is none"),
        ],
    ],
)
def test_bad_urls_are_described(url: str, why: str) -> None:
    assert parsed_url(url) is None and describe_bad_url(url) == why


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        *[("2.png", "http://a/x/2.png"), ("/2.png", "http://a/2.png"), ("//b/2.png", "http://b/2.png")],
        *[("https://b/", "https://b/"), ("?q", "http://a/x/1.png?q")],
        *[
            ("http://münchen.example/ü", "http://xn--mnchen-3ya.example/%C3%BC"),
            ("//bücher.example", "http://xn--bcher-kva.example/"),
        ],
        *[("http://xn--mnchen-3ya.example/", "http://xn--mnchen-3ya.example/"), ("HTTP://B/", "http://b/")],
        *[("/\udcfc.png", "http://a/%FC.png"), ("http://m\udcfcnchen.example/", None)],  # Latin-1, as it came
        *[
            ("\\2.png?a\\b", "http://a/2.png?a\\b"),
            ("http:\\\\b\\c", "http://b/c"),
            (" /a\tb.png\r", "http://a/ab.png"),
        ],
        *[("/a b.png", "http://a/a%20b.png"), ("http:/2.png", "http://a/2.png"), ("#part", "http://a/x/1.png")],
        *[("", None), ("ftp://b/", None), ("file:///etc/passwd", None), ("http://[oops", None), ("data:,x", None)],
    ],
)
def test_where_a_redirect_leads(target: str, leads_to: str | None) -> None:
    found = resolve_redirect(URL("http://a/x/1.png"), target)
    assert (None if found is None else str(found)) == leads_to


@given(st.text(max_size=40))
def test_any_target_leads_to_a_url_or_nowhere(target: str) -> None:
    found = resolve_redirect(URL("http://a/x/1.png"), target)
    assert found is None or (found.scheme in ("http", "https") and found.raw_host)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://Example.COM:80/Path?Q=1#part", "http://example.com/Path?Q=1"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:/x", "http://example.com/x"),
        ("http://example.com?q", "http://example.com/?q"),
        (" \thttp://example.com/a b \n", "http://example.com/a b"),
        ("http://example.com/x #y", "http://example.com/x"),
        ("http://Bücher.example/ü", "http://xn--bcher-kva.example/ü"),
        ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
        ("http://１２７.0.0.1/", "http://127.0.0.1/"),
        ("http://Me:Pass@HOST:8080/", "http://Me:Pass@host:8080/"),
        ("http://[::FFFF:127.0.0.1]:80/a", "http://[::ffff:127.0.0.1]/a"),
        ("http://a/%7Eb/../c//d", "http://a/%7Eb/../c//d"),
        ("ftp://HOST/x#y", "ftp://HOST/x#y"),
        ("", ""),
        (" no url ", "no url"),
    ],
)
def test_normal_urls(url: str, normal: str) -> None:
    assert normalise(url) == normal


PIECES = ["http", "HTTPS", "://", ":", "/", "//", "@", "#", "?", "[", "]", "%2F", "80", "443", " ", "\n", "a", "B", "."]
PIECES += ["ü", "ß", "．", "／", "xn--", "\ud800", "\u3000", "İ", "\\", "http://", "https://"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=40))
@settings(max_examples=500)
def test_normalising_twice_changes_nothing_and_nothing_crashes(url: str) -> None:
    once = normalise(url)
    assert normalise(once) == once
    assert url_hash(url, 0) == url_hash(once, 0) != url_hash(url, 1)


@given(st.from_regex(urls._PLAIN, fullmatch=True))
def test_a_url_that_looks_normal_is_normal(url: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urls, "_PLAIN", re.compile("$^"))
        assert normalise(url) == url


def test_golden_hash() -> None:
    """The order of every corpus hangs on this value."""
    assert url_hash("http://example.com/cat.jpg", 0).hex()[:16] == "69df7c94000b7566"
