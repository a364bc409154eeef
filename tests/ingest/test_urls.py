"""What can be asked for over HTTP, as it is written, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tagmill.ingest.urls import joined, parsed


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
    assert parsed(url) is None


@given(st.text(max_size=30), st.sampled_from(["", "http:", "http://", "https://[", "http://a:"]))
def test_any_text_is_a_url_or_not(text: str, prefix: str) -> None:
    found = parsed(prefix + text)
    assert found is None or (found.scheme in ("http", "https") and found.host)


def test_path_and_query_stay_as_they_were_written() -> None:
    """Or signatures would break."""
    assert str(parsed("https://a.org:8443/%7ea%2f+?b=%2F&c=d+e")) == "https://a.org:8443/%7ea%2f+?b=%2F&c=d+e"
    assert str(parsed("http://a/\u00fc")) == "http://a/%C3%BC"


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        *[("2.png", "http://a/x/2.png"), ("/2.png", "http://a/2.png"), ("//b/2.png", "http://b/2.png")],
        *[("https://b/", "https://b/"), ("?q", "http://a/x/1.png?q")],
        *[("", None), ("ftp://b/", None), ("file:///etc/passwd", None), ("http://[oops", None), ("data:,x", None)],
    ],
)
def test_where_a_redirect_leads(target: str, leads_to: str | None) -> None:
    found = joined(URL("http://a/x/1.png"), target)
    assert (None if found is None else str(found)) == leads_to
