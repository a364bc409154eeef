import numpy as np
import pytest

from tagmill.demo.scenes import SCENES, between, grain, noise, ramp


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_fills_any_size_and_is_reproducible(name: str) -> None:
    for width, height in ((280, 158), (150, 200)):
        first = SCENES[name](np.random.default_rng(5), width, height)
        again = SCENES[name](np.random.default_rng(5), width, height)
        other = SCENES[name](np.random.default_rng(6), width, height)
        assert first.mode == "RGB" and first.size == (width, height)
        assert first.tobytes() == again.tobytes() != other.tobytes()
        assert np.asarray(first).std() > 2


def test_noise_is_bounded_and_smooth() -> None:
    field = noise(np.random.default_rng(0), 120, 80, 4)
    assert field.shape == (80, 120) and field.dtype == np.float32
    assert field.min() >= 0 and field.max() <= 1 and field.std() > 0.03
    assert np.abs(np.diff(field, axis=1)).mean() < 0.03


def test_ramp_and_between_run_through_their_colours() -> None:
    column = np.asarray(ramp(3, 11, [(0, 0, 0), (100, 100, 100), (0, 200, 0)]))[:, 1]
    assert tuple(column[0]) == (0, 0, 0) and tuple(column[5]) == (100, 100, 100) and tuple(column[10]) == (0, 200, 0)
    pixels = np.asarray(between(np.array([[0.0, 1.0]], dtype=np.float32), (1, 2, 3), (10, 20, 30)))
    assert pixels.tolist() == [[[1, 2, 3], [10, 20, 30]]]


def test_grain_covers_the_largest_image_from_any_corner() -> None:
    assert min(grain().shape) >= 640 + 300 and 14 < grain().std() < 18
