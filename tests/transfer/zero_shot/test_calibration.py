"""Tests that calibrated outputs are uniform on the mean, and that the temperature is the likeliest one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import ConfigError, TagmillError
from tagmill.transfer.zero_shot import calibration
from tagmill.transfer.zero_shot.calibration import (
    TOLERANCE,
    calibrate,
    fit_biases,
    fit_temperature,
    no_calibration,
)


def drawn(images: int, labels: int, seed: int, spread: float = 2.0) -> np.ndarray:
    """Logits of a model that prefers frequent labels: the biases of labels follow their rank, as hashtags' counts do."""
    chance = np.random.default_rng(seed)
    frequent = -1.5 * np.log(np.arange(1, labels + 1))
    return (frequent + spread * chance.standard_normal((images, labels))).astype(np.float32)


def deviation(logits: np.ndarray, biases: np.ndarray, temperature: float) -> float:
    """The largest |labels x mean - 1|, by the definition and in double precision."""
    shifted = logits.astype(np.float64) / temperature + biases
    shares = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return float(np.abs(shares.mean(axis=0) * logits.shape[1] - 1).max())


@pytest.mark.parametrize(("images", "labels"), [(3_000, 42), (300, 17_000)])
def test_mean_outputs_are_uniform(images: int, labels: int) -> None:
    logits = drawn(images, labels, 1)
    biases, left, _ = fit_biases(logits, 1.3)
    assert left <= TOLERANCE and biases.shape == (labels,) and abs(biases.mean()) < 1e-6
    assert deviation(logits, biases, 1.3) <= TOLERANCE + 1e-4
    assert deviation(logits, np.zeros(labels), 1.3) > 1


@given(st.integers(1, 40), st.integers(1, 12), st.floats(0.0, 200.0), st.integers(0, 99))
def test_any_finite_logits_have_biases(images: int, labels: int, spread: float, seed: int) -> None:
    logits = np.random.default_rng(seed).uniform(-spread, spread, (images, labels)).astype(np.float32)
    try:
        biases, left, _ = fit_biases(logits, most_rounds=2_000)
    except TagmillError as error:
        assert spread > 2 and "mean outputs that stay" in str(error)  # sharp outputs of few images take more rounds
    else:
        assert np.isfinite(biases).all() and deviation(logits, biases, 1.0) <= left + 1e-3


def test_a_label_with_a_tiny_mean_gets_its_share() -> None:
    logits = drawn(200, 6, 3)
    logits[:, 4] -= 5_000.0  # below every number in single and double precision
    biases, _, _ = fit_biases(logits)
    assert biases[4] > 4_000 and deviation(logits, biases, 1.0) <= TOLERANCE + 1e-4


def test_the_temperature_is_the_one_that_made_the_tags() -> None:
    chance = np.random.default_rng(5)
    logits = drawn(20_000, 20, 5)
    for true in (0.5, 1.0, 2.5):
        noise = chance.gumbel(size=logits.shape)
        tags = (logits / true + noise).argmax(axis=1)  # a draw from softmax(logits / true)
        assert fit_temperature(logits, [[tag] for tag in tags.tolist()]) == pytest.approx(true, rel=0.05)


def test_images_without_tags_do_not_change_the_temperature() -> None:
    logits = drawn(50, 8, 6)
    tags = [[int(row.argmax()), 3] if number % 2 else [] for number, row in enumerate(logits)]
    some = [number for number in range(50) if number % 2]
    assert fit_temperature(logits, tags) == fit_temperature(logits[some], [tags[row] for row in some])
    with pytest.raises(ConfigError, match="no held-out image with a label"):
        fit_temperature(logits, [[]] * 50)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = drawn(60, 9, 7)
    tags = [[int(row.argmax()) if number % 3 else number % 9] for number, row in enumerate(logits)]
    whole = calibrate(logits, logits, tags)
    monkeypatch.setattr(calibration, "_ROWS", 50)
    parts = calibrate(logits, logits, tags)
    assert parts.temperature == pytest.approx(whole.temperature, rel=1e-3)
    np.testing.assert_allclose(parts.biases, whole.biases, atol=1e-2)


def test_a_calibration_says_how_it_was_made() -> None:
    logits = drawn(100, 5, 8)
    given_one = calibrate(logits, None, (), 2.0)
    assert given_one.temperature == 2.0 and given_one.facts["temperature_from"] == "given"
    none = calibrate(logits, None, ())
    assert none.temperature == 1.0 and none.facts["temperature_from"] == "1, no tags given"
    fitted = calibrate(logits, logits, [[0]] * 99 + [[]])
    assert fitted.facts["tagged_images"] == 99 and fitted.facts["unlabelled_images"] == 100
    np.testing.assert_allclose(np.exp(fitted.log_shares(logits)).sum(axis=1), 1)
    plain = no_calibration(5).log_shares(logits)
    assert (plain.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_what_cannot_be_calibrated_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = drawn(4, 3, 9)
    with pytest.raises(ConfigError, match="no image to calibrate on"):
        fit_biases(logits[:0])
    with pytest.raises(TagmillError, match="not finite"):
        fit_biases(np.full_like(logits, np.nan))
    with pytest.raises(TagmillError, match=r"after 0 rounds.*more unlabelled images"):
        fit_biases(logits, most_rounds=0)
    monkeypatch.setattr(calibration, "MOST_ENTRIES", 11)
    with pytest.raises(ConfigError, match="4 x 3 logits, more than 11"):
        fit_biases(logits)
