"""What can be asked for over HTTP, as it is written, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tagmill.ingest.http.urls import joined, normalise, parsed_url, why_not


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
def test_what_is_no_url(url: str) -> None:
    assert parsed_url(url) is None


@given(st.text(max_size=30), st.sampled_from(["", "http:", "http://", "https://[", "http://a:"]))
def test_any_text_is_a_url_or_not(text: str, prefix: str) -> None:
    found = parsed_url(prefix + text)
    assert found is None or (found.scheme in ("http", "https") and found.host)


def test_path_and_query_stay_as_they_were_written() -> None:
    """Or signatures would break."""
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
def test_what_is_wrong_with_it(url: str, why: str) -> None:
    assert parsed_url(url) is None and why_not(url) == why


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
    found = joined(URL("http://a/x/1.png"), target)
    assert (None if found is None else str(found)) == leads_to


@given(st.text(max_size=40))
def test_any_target_leads_to_a_url_or_nowhere(target: str) -> None:
    found = joined(URL("http://a/x/1.png"), target)
    assert found is None or (found.scheme in ("http", "https") and found.raw_host)
