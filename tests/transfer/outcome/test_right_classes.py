"""Several right classes: any of them is right, and one alone is as without."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.data import RealLabelsImagenet

from tagmill.shards import ConfigError, InputError, TagmillError
from tagmill.transfer.outcome.check import check_outcome
from tagmill.transfer.outcome.compare import compare_outcomes
from tagmill.transfer.outcome.figures import Confusion, figures_of
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import outcome_bytes, read_outcome
from tagmill.transfer.outcome.right_classes import padded, right_at, true_pairs
from tests.transfer.outcome.made import made_outcome, random_outcome

REAL = made_outcome([0, 1, 2, 0], [[1, 0], [0, 2], [2, 0], [2, -1]], 3)
REAL = replace(REAL, accepted=padded([(0, 1), (1, 2), (2,), (0,)]))


def several(outcome: Outcome, seed: int = 0) -> Outcome:
    """Adds right classes to the true one."""
    draws = np.random.default_rng(seed)
    more = [draws.integers(0, len(outcome.classes), draws.integers(0, 3)).tolist() for _ in outcome.keys]
    labels = [tuple(sorted({*some, true})) for some, true in zip(more, outcome.truth.tolist(), strict=True)]
    return replace(outcome, truth=np.array([each[0] for each in labels]), accepted=padded(labels))


def test_by_hand() -> None:
    assert right_at(REAL).tolist() == [[True, True], [False, True], [True, True], [False, False]]
    assert [each.tolist() for each in true_pairs(REAL)] == [[0, 0, 1, 1, 2, 3], [0, 1, 1, 2, 2, 0]]
    found = figures_of(REAL)
    assert (found.images, found.right, found.top1.value, found.top5) == (4, 2, 0.5, None)
    assert [(each.images, each.right) for each in found.per_class] == [(2, 1), (2, 1), (2, 1)]
    assert found.class_mean.value == pytest.approx(0.5)
    assert found.confusions == (Confusion(0, 2, 1), Confusion(1, 0, 1), Confusion(2, 0, 1))


def test_the_shares_right_are_those_of_timms_judge_of_real(tmp_path: Path) -> None:
    outcome = several(random_outcome(300, 9, 0.4))
    assert outcome.accepted is not None
    rows = [[label for label in row if label >= 0] for row in outcome.accepted.tolist()]
    (tmp_path / "real.json").write_text(json.dumps(rows))
    names = [f"ILSVRC2012_val_{place + 1:08d}.JPEG" for place in range(300)]
    judge = RealLabelsImagenet(names, str(tmp_path / "real.json"))
    scores = np.zeros((300, 9), np.float32)
    np.put_along_axis(scores, outcome.top, np.arange(5, 0, -1, np.float32)[None], axis=1)
    judge.add_result(torch.from_numpy(scores))
    found = figures_of(outcome)
    assert found.top5 is not None and 0.3 < found.top1.value < found.top5.value < 1
    for rank, ours in ((1, found.top1), (5, found.top5)):
        assert 100 * ours.value == pytest.approx(judge.get_accuracy(rank))


def test_one_right_class_each_gives_the_figures_of_true_classes() -> None:
    single = random_outcome(200, 8, 0.5)
    found, plain = figures_of(replace(single, accepted=single.truth[:, None])), figures_of(single)
    assert found.class_mean.value == plain.class_mean.value
    assert replace(found, class_mean=plain.class_mean) == plain


def test_intervals_count_each_image_once() -> None:
    outcome = several(random_outcome(600, 8, 0.5))
    grouped = replace(outcome, groups=np.repeat([f"g{place}" for place in range(300)], 2))
    found, plain = figures_of(grouped), figures_of(outcome)
    assert found.interval == "bootstrap over groups" and found.top1.value == plain.top1.value
    width = plain.top1.high - plain.top1.low
    assert found.top1.high - found.top1.low == pytest.approx(width, rel=0.2)
    assert found.top1.low < found.top1.value < found.top1.high


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 1000))
def test_it_is_read_as_it_was_written(images: int, classes: int, seed: int) -> None:
    outcome = several(random_outcome(images, classes, 0.5, seed), seed)
    found = read_outcome(outcome_bytes(outcome), "file")
    assert outcome.accepted is not None and found.accepted is not None
    assert np.array_equal(found.accepted, outcome.accepted) and np.array_equal(found.truth, outcome.truth)
    assert outcome_bytes(found) == outcome_bytes(outcome)


def test_altered_files_are_refused() -> None:
    table = pq.read_table(pa.BufferReader(outcome_bytes(REAL)))
    for lists, said in (([[0]] * 3 + [None], "without"), ([[0]] * 3 + [[0, 1, 2, 3]], "4 right"), ([[2]] * 4, "first")):
        place = table.schema.get_field_index("accepted")
        changed = table.set_column(place, "accepted", pa.array(lists, pa.list_(pa.int32())))
        sink = pa.BufferOutputStream()
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata), sink)
        with pytest.raises((InputError, TagmillError), match=said):
            read_outcome(bytes(sink.getvalue()), "file")
    sink = pa.BufferOutputStream()
    pq.write_table(table.drop_columns(["accepted"]), sink)  # it may not be read as an outcome of single classes
    with pytest.raises(InputError, match="format 2"):
        read_outcome(bytes(sink.getvalue()), "file")


@pytest.mark.parametrize(
    ("accepted", "said"),
    [
        ([[0, 1]], "shape"),
        ([[0, 3], [1, 2], [2, -1], [0, -1]], "right classes from -1 to 3"),
        ([[0, 0], [1, 2], [2, -1], [0, -1]], "ascend"),
        ([[0, -1, 1], [1, 2, -1], [2, -1, -1], [0, -1, -1]], "ascend"),
        ([[1, 2], [1, 2], [2, -1], [0, -1]], "first of the right"),
    ],
)
def test_right_classes_that_do_not_fit_are_refused(accepted: list[list[int]], said: str) -> None:
    with pytest.raises(TagmillError, match=said):
        check_outcome(replace(REAL, accepted=np.array(accepted)))


def test_compared_outcomes_have_the_same_right_classes_in_any_order_of_classes() -> None:
    one = several(random_outcome(60, 6, 0.5, 1))
    assert one.accepted is not None
    moved = [tuple(sorted(5 - label for label in row if label >= 0)) for row in one.accepted.tolist()]
    truth = np.array([each[0] for each in moved])
    top = np.where(one.top >= 0, 5 - one.top, -1)
    turned = replace(one, classes=one.classes[::-1], truth=truth, accepted=padded(moved), top=top)
    found = compare_outcomes(one, turned)
    assert found.both_right == int(right_at(one)[:, 0].sum()) and found.p_value == 1
    number = sum(len(row) > 1 for row in moved)
    with pytest.raises(ConfigError, match=f"{number} of 60 common images"):
        compare_outcomes(one, replace(one, accepted=None))
