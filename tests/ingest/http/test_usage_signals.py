"""What sites say of training is heard in every form that is published, and of contradictions the stricter one counts."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from tagmill.ingest.http.usage_signals import (
    KINDS,
    MAX_LOCATIONS,
    PathSignals,
    _matches,
    forbidding_header,
    reservation_lines,
    signal_line,
)
from tagmill.ingest.reasons import Reason

SIGNAL, USAGE, TDM = Reason.CONTENT_SIGNAL, Reason.CONTENT_USAGE, Reason.TDM_RESERVED


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([("content-signal", "search=yes,ai-train=no")], (SIGNAL, "Content-Signal: ai-train=no")),
        ([("Content-Signal", "AI-Train = No ; x=1")], (SIGNAL, "Content-Signal: ai-train=no")),
        ([("Content-Signal", "search=no, ai-input=no")], None),
        ([("Content-Signal", "ai-train=yes")], None),
        (
            [("Content-Signal", "ai-train=yes"), ("Content-Signal", "ai-train=no")],
            (SIGNAL, "Content-Signal: ai-train=no"),
        ),
        ([("Content-Usage", "train-ai=n")], (USAGE, "Content-Usage: train-ai=n")),
        ([("Content-Usage", "search=y, train-ai=?0")], (USAGE, "Content-Usage: train-ai=n")),
        ([("Content-Usage", 'train-ai="n"')], (USAGE, "Content-Usage: train-ai=n")),
        ([("Content-Usage", "train-ai=y, search=n")], None),
        ([("Content-Usage", "train-ai=maybe, train-ai, =n, ,")], None),
        ([("TDM-Reservation", " 1 ")], (TDM, "tdm-reservation: 1")),
        ([("tdm-reservation", "0"), ("tdm-policy", "https://x/1")], None),
        ([("X-Robots-Tag", "noai")], None),
        ([], None),
    ],
)
def test_headers(headers: list[tuple[str, str]], found: tuple[Reason, str] | None) -> None:
    given_headers = CIMultiDict(headers)
    assert forbidding_header(lambda name: given_headers.getall(name, ()), KINDS) == found
    others = KINDS - {found[0]} if found else frozenset[Reason]()
    assert forbidding_header(lambda name: given_headers.getall(name, ()), others) is None


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("content-signal", "search=yes,ai-train=no", "Content-Signal: ai-train=no"),
        ("content-signal", "ai-train=yes, use=immediate", "Content-Signal: ai-train=yes"),
        ("content-usage", "/photos/ train-ai=n", "Content-Usage: /photos/ train-ai=n"),
        ("content-usage", "*.jpg$  search=n, train-ai=y", "Content-Usage: *.jpg$ train-ai=y"),
        ("content-usage", "train-ai=y, train-ai=n", "Content-Usage: train-ai=n"),
        ("content-signal", "search=yes", None),
        ("content-signal", "/only-a-path", None),
        ("disallow", "/", None),
        ("tdm-reservation", "1", None),
    ],
)
def test_lines_of_robots_txt(field: str, value: str, line: str | None) -> None:
    assert signal_line(field, value) == line
    if line is not None:
        name, _, rest = line.partition(": ")
        assert signal_line(name.lower(), rest) == line


@pytest.mark.parametrize(
    ("lines", "path", "found"),
    [
        (["Content-Signal: ai-train=no"], "/a", "Content-Signal: ai-train=no"),
        (["Content-Signal: ai-train=no", "Content-Signal: /open/ ai-train=yes"], "/open/1.jpg", None),
        (
            ["Content-Signal: /open/ ai-train=yes", "Content-Signal: ai-train=no"],
            "/closed",
            "Content-Signal: ai-train=no",
        ),
        (["Content-Signal: / ai-train=yes", "Content-Signal: / ai-train=no"], "/x", "Content-Signal: / ai-train=no"),
        (["Content-Signal: ai-train=yes", "Content-Usage: train-ai=n"], "/x", "Content-Usage: train-ai=n"),
        (["Content-Usage: *.png$ train-ai=n"], "/a/b.png", "Content-Usage: *.png$ train-ai=n"),
        (["Content-Usage: *.png$ train-ai=n"], "/a/b.png?x", None),
        (["Content-Usage: /ü train-ai=n"], "/%C3%BC/1", "Content-Usage: /ü train-ai=n"),
        (["Content-Usage: /%7ea train-ai=n"], "/~a/1", "Content-Usage: /%7ea train-ai=n"),
        (["Content-Usage: /a%2fb train-ai=n"], "/a%2Fb", "Content-Usage: /a%2fb train-ai=n"),
        (["Content-Usage: /a?b train-ai=n"], "/a?bc", "Content-Usage: /a?b train-ai=n"),
        ([], "/x", None),
    ],
)
def test_the_longest_path_decides(lines: list[str], path: str, found: str | None) -> None:
    refused = PathSignals(lines).forbidding(URL(f"http://h{path}", encoded=True), KINDS)
    assert (refused[1] if refused else None) == found
    assert PathSignals(lines).forbidding(URL(f"http://h{path}", encoded=True), frozenset()) is None


TDMREP = [
    {"location": "/open/*", "tdm-reservation": 0},
    {"location": "/photos", "tdm-reservation": "1", "tdm-policy": "https://x/policy"},
    {"location": "*.png$", "tdm-reservation": 1},
    {"location": "/", "tdm-reservation": 0},
]


def test_of_a_tdmrep_json_the_first_location_that_matches_decides() -> None:
    lines = reservation_lines(json.dumps(TDMREP).encode())
    assert lines == [
        "TDM-Reservation: /open/* 0",
        "TDM-Reservation: /photos 1",
        "TDM-Reservation: *.png$ 1",
        "TDM-Reservation: / 0",
    ]
    signals = PathSignals(lines)
    for path, line in {"/open/a.png": None, "/photos/a.jpg": lines[1], "/a.png": lines[2], "/a.jpg": None}.items():
        assert signals.forbidding(URL(f"http://h{path}"), KINDS) == ((TDM, line) if line else None)
    assert signals.forbidding(URL("http://h/photos"), KINDS - {TDM}) is None
    one = reservation_lines(b'{"location": "a b/\\u00fc", "tdm-reservation": 1}')
    assert one == ["TDM-Reservation: /a%20b/%C3%BC 1"]
    assert PathSignals(one).forbidding(URL("http://h/a b/ü.jpg"), KINDS) == (TDM, one[0])


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"<html>",
        b"[" * 100_000,
        b"17",
        b'[17, null, "x", {}, {"location": 1, "tdm-reservation": 1}, {"location": "/"}]',
        b'[{"location": "/", "tdm-reservation": 2}, {"location": "/", "tdm-reservation": [1]}]',
        b'\xff\xfe[',
    ],
)  # fmt: skip
def test_a_file_that_is_no_tdmrep_json_reserves_nothing(body: bytes | None) -> None:
    assert reservation_lines(body) == []


def test_a_tdmrep_json_cannot_bring_other_rules_and_is_read_in_part() -> None:
    entry = {"location": "/a\nDisallow: /\u2028x", "tdm-reservation": 1}
    (line,) = reservation_lines(json.dumps([entry]).encode())
    assert len(line.splitlines()) == 1
    many = [{"location": f"/{number}", "tdm-reservation": 1} for number in range(MAX_LOCATIONS + 5)]
    assert len(reservation_lines(json.dumps(many).encode())) == MAX_LOCATIONS


@given(st.text("ab/*$", max_size=8), st.text("ab/", max_size=10))
def test_patterns_match_as_the_same_regular_expression(pattern: str, rest: str) -> None:
    whole = pattern.endswith("$")
    plain = "".join(".*" if letter == "*" else re.escape(letter) for letter in (pattern[:-1] if whole else pattern))
    expected = re.match(f"{plain}\\Z" if whole else plain, f"/{rest}") is not None
    assert _matches(pattern, f"/{rest}") == expected


def test_hostile_patterns_cost_little() -> None:
    """A pattern that backtracking would take ages for, and as many rules as a robots.txt has room for."""
    hostile = "/" + "*a" * 2_000 + "*b$"
    assert not _matches(hostile, "/" + "a" * 4_000)
    lines = [f"Content-Usage: /{number}*a*a*a*b$ train-ai=n" for number in range(10_000)]
    assert PathSignals(lines).forbidding(URL("http://h/" + "a" * 2_000), KINDS) is None
