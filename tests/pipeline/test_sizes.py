"""Tests sizes that vary: their text, and which ones raise an error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.sizes import ProgressiveSize, Size, VariedSize, largest_side, parse_size
from tagmill.shards.errors import ConfigError

LOW, STEPS, STEP = st.integers(1, 4096), st.integers(1, 40), st.integers(1, 1024)
EPOCHS = st.one_of(st.integers(1, 10**9), st.floats(1e-300, 1e300))


@given(LOW, STEPS, STEP, st.one_of(st.none(), EPOCHS))
def test_a_text_survives(low: int, steps: int, step: int, epochs: float | None) -> None:
    high = low + steps * step
    size = VariedSize(low, high, step) if epochs is None else ProgressiveSize(low, high, epochs, step)
    assert parse_size(str(size)) == size
    assert list(size.sides) == [low + number * step for number in range(steps + 1)] and largest_side(size) == high


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("224", 224),
        (224, 224),
        ("128-320", VariedSize(128, 320)),
        ("128-320:32", VariedSize(128, 320, 32)),
        ("128-224:96@2.5", ProgressiveSize(128, 224, 2.5, 96)),
        ("128-256@10", ProgressiveSize(128, 256, 10)),
    ],
)
def test_texts_and_their_sizes(text: str | int, size: Size) -> None:
    assert parse_size(text) == size


WRONG = ["", "0", "00", "-8", "128-", "128:32", "128-320:", "128-320@", "128-320@.", "128-320@nan", "128-320-480", "a"]
WRONG += [" 224", "224\n", "0-32", "٢٢٤", "9" * 5000, "128-320@" + "9" * 5000]


@pytest.mark.parametrize("text", [*WRONG, 0, -1, 2.5, True, None])
def test_other_texts_raise_an_error_with_the_three_forms(text: Any) -> None:
    with pytest.raises(ConfigError, match=r"^size = .*224.*128-320:32.*128-320:32@10"):
        parse_size(text)


@given(st.text(alphabet="0123456789-:@.e+ ", max_size=24))
def test_any_text_is_a_size_or_one_error(text: str) -> None:
    try:
        size = parse_size(text)
    except ConfigError as error:
        assert error.remedy
    else:
        assert largest_side(size) >= 1 and parse_size(str(size)) == size


@pytest.mark.parametrize(
    ("sides", "remedy"),
    [
        ((320, 128, 32), "give 320 to 352 by 32"),
        ((128, 128, 32), "give 128 to 160 by 32"),
        ((128, 310, 32), "give 128 to 288 by 32"),
        ((128, 130, 32), "give 128 to 160 by 32"),
    ],
)
def test_the_largest_side_is_whole_steps_above_the_smallest(sides: tuple[int, int, int], remedy: str) -> None:
    low, high, step = sides
    with pytest.raises(ConfigError, match=f"sides from {low} to {high} by {step} pixels.*{remedy}"):
        VariedSize(low, high, step)
    with pytest.raises(ConfigError, match=remedy):
        ProgressiveSize(low, high, 3, step)


@pytest.mark.parametrize(
    ("name", "value"),
    [("least", 0), ("least", 128.0), ("most", 65_568), ("most", "320"), ("step", 0), ("step", True), ("step", -32)],
)
def test_invalid_numbers_are_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} = .*give a whole number"):
        VariedSize(**{"least": 128, "most": 320, name: value})


@pytest.mark.parametrize("epochs", [0, -1, float("nan"), float("inf"), "3", None])
def test_epochs_are_a_positive_number(epochs: Any) -> None:
    with pytest.raises(ConfigError, match=r"^epochs = .*above 0"):
        ProgressiveSize(128, 320, epochs)
