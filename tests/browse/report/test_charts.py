"""Charts: points stay inside the axes and in order, and long lines are thinned."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.browse.report.charts import MAX_POINTS, Chart, log_log_chart, share_chart, short, thinned

counts = st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=60)


def points(chart: Chart, line: int = 0) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in chart.lines[line].points.split())]


@given(counts)
def test_points_are_inside_the_axes_and_larger_counts_are_higher(some: list[float]) -> None:
    chart = log_log_chart("t", "x", "y", [("a", "first", [(n, y) for n, y in enumerate(some, 1)])])
    assert chart is not None
    found = points(chart)
    assert all(chart.left <= x <= chart.right and chart.top <= y <= chart.bottom for x, y in found)
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    for (_, a), (_, b), low, high in zip(found, found[1:], some, some[1:], strict=False):
        assert (a >= b) if low <= high else (a <= b)
    assert len(chart.x_ticks) >= 2 and all(chart.top <= tick.at <= chart.bottom for tick in chart.y_ticks)


def test_without_a_positive_count_there_is_no_chart() -> None:
    assert log_log_chart("t", "x", "y", [("a", "first", [(1, 0)])]) is None
    assert share_chart("t", "x", "y", []) is None


@given(st.integers(1, 100_000))
def test_thinning_keeps_both_ends_and_the_order(length: int) -> None:
    whole = [(float(n), 1.0) for n in range(length)]
    found = thinned(whole)
    assert len(found) <= MAX_POINTS + 1 and found[0] == whole[0] and found[-1] == whole[-1]
    assert list(found) == sorted(set(found))


def test_shares_go_from_the_bottom_to_the_top() -> None:
    chart = share_chart("t", "x", "y", [0.0, 0.5, 1.0])
    assert chart is not None
    (_, low), (_, middle), (_, high) = points(chart)
    assert (low, high) == (chart.bottom, chart.top) and middle == (low + high) / 2
    assert [tick.text for tick in chart.y_ticks] == ["0 %", "25 %", "50 %", "75 %", "100 %"]


def test_round_counts_are_short() -> None:
    assert [short(count) for count in (0.1, 1, 100, 1000, 1e4, 1e6, 1e10)] == [
        *("0.1", "1", "100", "1k", "10k", "1M", "10G")
    ]
