"""Numbers in few columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.progress.figures import (
    COUNT_WIDTH,
    TIME_WIDTH,
    count_text,
    rate_text,
    reason_share_text,
    share_text,
    time_text,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *((0, "0"), (99_999, "99,999"), (100_000, "100 k"), (999_499, "999 k"), (999_500, "1.00 M")),
        *((3_500_000_000, "3.50 G"), (9_994_999, "9.99 M"), (9_995_000, "10.0 M"), (12 * 10**12, "12.0 T")),
        *((1_085_536_235, "1.09 G"), (1_085_000_000, "1.09 G"), (1_084_999_999, "1.08 G"), (100_499, "100 k")),
        *((999 * 10**18, "999 E"), (10**21, ">999 E")),
    ],
)
def test_counts(count: int, text: str) -> None:
    assert count_text(count) == text


@given(st.integers(0, 10**24))
def test_a_count_has_few_columns_and_is_right_to_three_digits(count: int) -> None:
    text = count_text(count)
    assert len(text) <= COUNT_WIDTH
    if not text.startswith(">"):
        number, _, prefix = text.replace(",", "").partition(" ")
        shown = float(number) * 1000 ** ("kMGTPE".index(prefix) + 1 if prefix else 0)
        assert shown == pytest.approx(count, rel=0.00501)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.4, "0:00:00"), (59.6, "0:01:00"), (7020, "1:57:00"), (359_999, "99:59:59"), (359_999.6, "4 d 4 h")),
        *((863_999, "9 d 23 h"), (864_000, "10 d"), (86_399_999, "999 d"), (86_400_000, ">999 d"), (1e300, ">999 d")),
    ],
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@given(st.floats(0, allow_infinity=True))
def test_a_time_and_a_rate_have_few_columns(number: float) -> None:
    assert len(time_text(number)) <= TIME_WIDTH and len(rate_text(number)) <= COUNT_WIDTH + 2


@pytest.mark.parametrize(("rate", "text"), [(0, "0/s"), (9.34, "9.3/s"), (410.2, "410/s"), (120_400, "120 k/s")])
def test_rates(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@given(st.floats(0, 1))
def test_a_share_is_all_or_nothing_only_where_it_is(share: float) -> None:
    text = share_text(share)
    assert len(text) <= 6 and (text == "100 %") == (share == 1) and (text == "0 %") == (share == 0)
    assert float(text.removesuffix(" %")) / 100 == pytest.approx(share, abs=0.0011)
    assert len(reason_share_text(share)) <= 6


@pytest.mark.parametrize(("share", "text"), [(0.04, "4 %"), (0.003, "0.3 %"), (0.0001, "<0.1 %"), (1, "100 %")])
def test_shares_of_reasons(share: float, text: str) -> None:
    assert reason_share_text(share) == text
