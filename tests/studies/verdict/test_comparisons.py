"""Comparisons: SciPy's paired t test, Holm's levels, and input that has no spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from tagmill.studies.verdict.comparisons import Compared, compare, paired_p_value
from tagmill.studies.verdict.contrasts import contrasts_of
from tests.studies.verdict.simulated import MEASURE, a_claim, arm_names, drawn

Table = dict[str, dict[int, float]]


def table_of(means: list[float], seeds: int = 5) -> Table:
    rows = drawn(means, seeds, 1)[0].tolist()
    return {arm: dict(enumerate(row)) for arm, row in zip(arm_names(len(rows)), rows, strict=True)}


def compared(kind: str, values: Table) -> list[Compared]:
    claim = a_claim(kind, tuple(values))  # type: ignore[arg-type]
    return list(compare(contrasts_of(claim), {MEASURE: values}, range(5)).values())


def test_a_comparison_is_scipys_paired_t_test() -> None:
    values = table_of([0.6, 0.65])
    (found,) = compared("above", values)
    known = ttest_rel(*(list(values[arm].values()) for arm in ("arm1", "arm0")))
    assert (found.p, found.p_adjusted) == pytest.approx((known.pvalue, known.pvalue))
    assert found.interval == pytest.approx((known.statistic and found.mean, *known.confidence_interval(0.95)))
    assert found.level == 0.95 and len(found.values) == 5


def test_intervals_have_holms_levels() -> None:
    values = table_of([0.9, 0.6, 0.58, 0.4])
    found = compared("ordered", values)
    p = [ttest_rel(list(values[f"arm{n}"].values()), list(values[f"arm{n + 1}"].values())).pvalue for n in range(3)]
    assert [each.p for each in found] == pytest.approx(p) and p[1] > 0.05 > 3 * max(p[0], p[2])
    assert [each.state for each in found] == ["above", "open", "above"]
    small, large = (0, 2) if p[0] < p[2] else (2, 0)
    assert [found[place].level for place in (small, large, 1)] == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 0.95])


@given(
    st.lists(st.lists(st.integers(0, 300), min_size=5, max_size=5), min_size=3, max_size=4),
    st.permutations(range(5)),
    st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=5),
)
def test_neither_the_order_of_seeds_nor_what_they_share_matters(
    right: list[list[int]], order: list[int], shared: list[float]
) -> None:
    """Accuracies of 300 images. Seeds are numbers only: pairs must stay together, their order is nothing."""
    plain = {arm: {seed: row[seed] / 300 for seed in range(5)} for arm, row in zip(arm_names(4), right, strict=False)}
    other = {arm: {order[seed]: value + shared[seed] for seed, value in row.items()} for arm, row in plain.items()}
    for first, second in zip(compared("ordered", plain), compared("ordered", other), strict=True):
        assert first.mean == pytest.approx(second.mean, abs=1e-9)
        assert (first.interval is None) == (second.interval is None)
        if first.interval is not None and second.interval is not None:
            assert first.p == pytest.approx(second.p, rel=1e-5, abs=1e-12)
            assert first.interval == pytest.approx(second.interval, abs=1e-8)


def test_other_pairs_give_another_interval() -> None:
    values = table_of([0.6, 0.65])
    other = {"arm0": values["arm0"], "arm1": {(seed + 1) % 5: value for seed, value in values["arm1"].items()}}
    (first,), (second,) = compared("above", values), compared("above", other)
    assert first.interval is not None and second.interval is not None and first.mean == pytest.approx(second.mean)
    assert second.interval.high - second.interval.low > 1.5 * (first.interval.high - first.interval.low)


@pytest.mark.parametrize("step", [0.0, 0.1])
def test_differences_that_do_not_vary_have_no_interval(step: float) -> None:
    values = {arm: {seed: 0.1 * seed + step * place for seed in range(5)} for place, arm in enumerate(arm_names(2))}
    (found,) = compared("above", values)
    assert (found.interval, found.p, found.p_adjusted, found.state) == (None, None, None, "open")
    assert found.mean == pytest.approx(step) and found.spread == pytest.approx(0, abs=1e-12)
    assert paired_p_value([0.1 + 0.2, 0.3]) is None, "rounding is no spread"


def test_what_cannot_be_tested_keeps_its_place_among_the_comparisons() -> None:
    values = table_of([0.9, 0.6, 0.3])
    with_all = compared("ordered", values)
    without = compared("ordered", {**values, "arm2": {}})
    assert without[0].level == max(each.level for each in with_all) == 1 - 0.05 / 2
    assert (without[1].mean, without[1].values, without[1].dropped) == (None, {}, (0, 1, 2, 3, 4))


def test_a_missing_run_drops_its_pair_in_its_own_comparisons_only() -> None:
    values = table_of([0.9, 0.6, 0.3])
    del values["arm0"][2]
    first, second = compared("ordered", values)
    assert (first.dropped, second.dropped) == ((2,), ()) and sorted(first.values) == [0, 1, 3, 4]
    rest = [0, 1, 3, 4]
    known = ttest_rel([values["arm0"][seed] for seed in rest], [values["arm1"][seed] for seed in rest])
    assert first.p == pytest.approx(known.pvalue)


def test_one_seed_has_no_interval() -> None:
    (found,) = compared("above", {"arm0": {3: 0.25}, "arm1": {3: 0.75}})
    assert (found.mean, found.spread, found.interval, found.state) == (0.5, None, None, "open")


def test_equal_comparisons_count_once() -> None:
    claims = [a_claim("ordered", ("arm0", "arm1")), a_claim("above", ("arm1", "arm0"))]
    every = [each for claim in claims for each in contrasts_of(claim)]
    assert len(every) == 2 and len(compare(every, {MEASURE: table_of([0.5, 0.4])}, range(5))) == 1
    assert np.isfinite(compare(every, {MEASURE: table_of([0.5, 0.4])}, range(5))[every[0]].level)
