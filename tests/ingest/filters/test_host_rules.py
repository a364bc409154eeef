"""Rules about hosts: what they mean, and that none is taken which can match nothing."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tagmill.ingest.filters.host_rules import host_of, host_rule
from tagmill.shards.errors import ConfigError


def test_hosts_of_urls() -> None:
    assert (
        host_of("http://example.org./") == "example.org" and host_of("HTTP://u:p@Example.ORG:8080?x") == "example.org"
    )
    assert host_of("http:///x") is None and host_of("no url") is None
    for same in ("[2001:DB8::1]:80", "[2001:db8:0:0:0::1]", "[2001:0db8::0001]"):
        assert host_of(f"http://{same}/x") == "[2001:db8::1]"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        *[("example.org", "example.org"), (".example.org", ".example.org"), ("Example.ORG.", "example.org")],
        *[("*.example.org", ".example.org"), ("*.Example.org.", ".example.org"), ("*.org", ".org")],
        *[
            ("http://example.org", "example.org"),
            ("https://example.org/", "example.org"),
            ("//example.org/", "example.org"),
        ],
        *[("http://*.example.org/", ".example.org"), ("example.org/", "example.org"), ("localhost", "localhost")],
        *[("bücher.example", "xn--bcher-kva.example"), ("*.BÜCHER.example", ".xn--bcher-kva.example")],
        *[("XN--bcher-kva.example", "xn--bcher-kva.example"), ("例え。テスト", "xn--r8jz45g.xn--zckzah")],
        *[("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "[2001:db8::1]"), ("2001:db8:0::1", "[2001:db8::1]")],
        *[("r3---sn_a.example", "r3---sn_a.example"), ("http://[2001:db8::1]/", "[2001:db8::1]")],
    ],
)
def test_what_a_rule_means(text: str, rule: str) -> None:
    assert host_rule(text) == rule
    host = rule.removeprefix(".")
    assert host_of(f"http://{host}:81/x") == host


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        *[
            ("*", ".example.org"),
            ("www.*", ".example.org"),
            ("*.*.org", ".example.org"),
            ("*example.org", ".example.org"),
        ],
        *[("*.", ".example.org"), (".", ".example.org"), ("", ".example.org"), ("..a", ".example.org")],
        *[("example.org;", ".example.org"), ("example.org,", ".example.org"), ("a b", ".example.org")],
        *[("a..org", ".example.org"), ("a.org..", ".example.org"), ("-" * 64 + ".org", ".example.org")],
        *[("example.org:8080", "give example.org,"), ("http://.example.org:80/", "give .example.org,")],
        *[("http://bad.example/x.jpg", "give bad.example "), ("bad.example/x", "give bad.example ")],
        *[
            ("bad.example?x", "give bad.example "),
            ("192.0.2.0/24", "give 192.0.2.0 "),
            ("*.192.0.2.1", "give 192.0.2.1"),
        ],
        *[("user@bad.example", ".example.org"), ("ftp://bad.example/", "a URL"), ("1.2.3", ".example.org")],
        *[("||bad.example^", ".example.org"), ("bad.example$", ".example.org"), ("ü" * 100, ".example.org")],
    ],
)
def test_what_can_match_nothing_is_refused_with_the_way_out(text: str, way_out: str) -> None:
    with pytest.raises(ConfigError) as caught:
        host_rule(text)
    assert way_out in caught.value.remedy and "\n" not in str(caught.value)


@given(st.text(max_size=30) | st.text("aé0.-_*:/[]@;", max_size=20))
def test_every_rule_that_is_taken_matches_a_url(text: str) -> None:
    try:
        rule = host_rule(text)
    except ConfigError:
        return
    host = rule.removeprefix(".")
    assert host_of(f"http://{host}/x") == host and host_rule(rule) == rule


@given(st.from_regex(r"[a-z0-9]{1,9}(\.[a-z0-9]{1,9}){0,3}", fullmatch=True), st.booleans())
def test_plain_names_are_rules(name: str, below: bool) -> None:
    assume(not name.rpartition(".")[2].isdigit())
    assert host_rule("*." * below + name) == "." * below + name
