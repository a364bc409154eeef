"""The lines of a stage: golden at 80 columns, and never wider than the terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tagmill.shards.progress.counts import ProgressCounts
from tagmill.shards.progress.layout import log_line, place_text, screen_lines
from tagmill.shards.progress.protocol import NoTraffic
from tests.shards.progress.use import HOSTILE, Clock, Fetched, Host, assert_plain


def fetching(name: str = "fetch") -> ProgressCounts:
    """120,000 of 3,000,000 rows are done, the last 12,300 in 30 seconds."""
    clock = Clock()
    now = ProgressCounts(name, 3_000_000, clock)
    now.add(107_700, {"ok": 100_000, "not_found": 5_000, "timeout": 2_000, "too_small": 700})
    clock.now += 29
    now.add(0, {})
    clock.now += 1
    now.add(12_300, {"ok": 11_720, "html": 580})
    now._recent[0] = (clock.now - 30, 107_700)
    return now


SLOW = Fetched(1, (Host("slow.example", 90.0, 10), Host("b.example", 8.0, 4)))


def test_a_stage_at_80_columns() -> None:
    assert screen_lines(fetching(), SLOW, 80) == [
        "fetch                ────────────  120 k/3.00 M    410/s  1:57:04 left 93.1 % ok",
        "  top: not_found 4 %, timeout 2 %, too_small 0.6 %",
        "  slowest: slow.example 9.0 s x 10, b.example 2.0 s x 4",
    ]


def test_a_stage_that_has_ended_at_80_columns() -> None:
    clock = Clock()
    now = ProgressCounts("pack", 40, clock)
    clock.now += 75
    assert screen_lines(now, NoTraffic(), 80, ended=True) == [
        "pack                 ━━━━━━━━━━━━                           in 0:01:15          "
    ]
    now.add(40, {})
    assert screen_lines(now, NoTraffic(), 80, ended=True) == [
        "pack                 ━━━━━━━━━━━━         40/40    0.5/s    in 0:01:15          "
    ]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (68, "fetch                 120 k/3.00 M    410/s  1:57:04 left 93.1 % ok"),
        (59, "fetch                 120 k/3.00 M    410/s  1:57:04 93.1 %"),
        (40, "fetch       120 k/3.00 M  1:57:04 93.1 %"),
        (100, "fetch                    ━" + "─" * 27 + "  120 k/3.00 M    410/s  1:57:04 left 93.1 % ok"),
    ],
)
def test_narrow_and_wide_terminals(width: int, line: str) -> None:
    assert screen_lines(fetching(), NoTraffic(), width)[0] == line


def test_a_terminal_without_unicode_has_a_bar_of_ascii() -> None:
    now = ProgressCounts("pack", 4, Clock())
    now.add(2, {})
    (line,) = screen_lines(now, NoTraffic(), 80, unicode=False)
    assert "######------" in line and line.isascii()


texts = st.text(max_size=80) | st.just(HOSTILE) | st.text("漢字e\u0301👍🏽", max_size=40)
counts = st.dictionaries(texts | st.just("ok"), st.integers(0, 10**20), max_size=6)


@given(
    texts,
    st.none() | st.integers(0, 10**20),
    counts,
    st.integers(0, 10**9),
    st.lists(st.tuples(texts, st.floats(0, 1e9), st.integers(1, 10**12)), max_size=5),
    st.integers(40, 200),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal_or_has_a_control_character(
    name: str,
    total: int | None,
    outcomes: dict[str, int],
    seconds: int,
    slow: list[tuple[str, float, int]],
    width: int,
    ended: bool,
) -> None:
    clock = Clock()
    now = ProgressCounts(name, total, clock)
    clock.now += seconds
    now.add(sum(outcomes.values()), outcomes)
    traffic = Fetched(0, tuple(Host(*each) for each in slow))
    for line in screen_lines(now, traffic, width, ended=ended):
        assert cell_len(line) <= width
        assert_plain(line)
    for verb in ("", "begins", "ends", "stops"):
        line = log_line(now, traffic, verb=verb, hosts=True)
        assert "\n" not in line
        assert_plain(line)
    assert_plain(place_text(now))


@given(st.integers(80, 200), st.integers(0, 10**20), st.integers(0, 10**20), st.integers(0, 10**9))
def test_from_80_columns_on_the_columns_are_at_their_places(width: int, done: int, total: int, seconds: int) -> None:
    clock = Clock()
    now = ProgressCounts("fetch", total, clock)
    empty = screen_lines(now, NoTraffic(), width)[0]
    clock.now += seconds
    now.add(done, {"ok": done})
    line = screen_lines(now, NoTraffic(), width)[0]
    assert len(line) == len(empty) and line.index("/") and (not done or line.endswith(" ok"))
    ends = len(line) - len(" 93.1 % ok")
    assert line[ends] == " " and line[ends - 1] != " "  # the time ends where the share's column begins


def test_a_line_of_a_log() -> None:
    now = fetching()
    assert log_line(now, SLOW) == (
        "fetch 120,000/3,000,000  410/s  1:57:04 left  93.1 % ok  top: not_found 4 %, timeout 2 %, too_small 0.6 %"
    )
    assert log_line(now, SLOW, verb="begins") == "fetch begins  3,000,000 in all"
    assert log_line(now, SLOW, verb="ends", hosts=True).endswith(
        "slowest: slow.example 9.0 s x 10, b.example 2.0 s x 4"
    )
    assert log_line(ProgressCounts("select", None, Clock()), SLOW, verb="begins") == "select begins"
    assert log_line(ProgressCounts("select", None, Clock()), NoTraffic(), verb="ends") == "select ends  in 0:00:00"


def test_where_a_command_was_stopped() -> None:
    assert place_text(fetching()) == "fetch, 120,000 of 3,000,000"
    assert place_text(ProgressCounts("label: join")) == "label: join"
