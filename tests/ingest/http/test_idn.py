"""Host names in the ASCII form that resolvers use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.http.idn import ascii_host


@pytest.mark.parametrize(
    ("host", "name"),
    [
        *[("münchen.example", "xn--mnchen-3ya.example"), ("MÜNCHEN.example", "xn--mnchen-3ya.example")],
        *[("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"), ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example")],
        *[("m%C3%BCnchen.example", "xn--mnchen-3ya.example"), ("mu\u0308nchen.example", "xn--mnchen-3ya.example")],
        *[("例え。テスト", "xn--r8jz45g.xn--zckzah"), ("faß.example", "xn--fa-hia.example")],
        *[("☕.example", "xn--53h.example"), ("I❤.ws", "xn--i-7iq.ws")],  # not in IDNA 2008, but hosts that there are
        *[("bücher_1.example", "xn--bcher_1-n2a.example"), ("r3---sn.ü.example", "r3---sn.xn--tda.example")],
        *[("Example.ORG", "example.org"), ("１２７.0.0.1", "127.0.0.1"), ("[::FFFF]", "[::ffff]"), ("", "")],
        *[("a%2Fb.example", None), ("a%40b", None), ("a%3A80", None), ("a%25b", None), ("a%FF", None), ("a%00", None)],
        *[("／ü", None), ("ü＠a", None), ("ü：80", None), ("ü？", None)],  # full-width delimiters
        *[("\ud800", None), ("ü" * 80, None), ("ü" * 100_000, None), ("xn--ü", None), ("\u200d☕", None)],
    ],
)
def test_ascii_form_of_host_names(host: str, name: str | None) -> None:
    assert ascii_host(host) == name


@given(st.text(max_size=30) | st.lists(st.sampled_from([*"aü.-_%", "%2e", "%C3%BC", "xn--", "☕", "。"])).map("".join))
def test_any_text_has_one_ascii_form_or_none(host: str) -> None:
    name = ascii_host(host)
    if name is not None and not host.isascii():
        assert name.isascii() and not set(name) & set("/?#@:\\ %"), name
    if name is not None:
        assert ascii_host(name) == name
