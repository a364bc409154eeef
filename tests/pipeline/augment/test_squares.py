"""Tests the windows of images that are resized to a square without regard to their ratio."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.augment.squares import square_crops, whole_images

SIDES = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=20)


@given(SIDES, st.floats(0.01, 1.0), st.integers(0, 2**63 - 1))
def test_every_window_is_a_share_of_both_sides_and_inside_the_image(
    sides: list[tuple[int, int]], share: float, seed: int
) -> None:
    widths, heights = np.array(sides, np.int32).T
    crops = square_crops(seed, 3, np.arange(len(sides)), widths, heights, share)
    for at, side, whole in ((crops.x, crops.width, widths), (crops.y, crops.height, heights)):
        assert (at >= 0).all() and (at + side <= whole).all()
        assert (np.abs(side - np.maximum(1, whole * share)) <= 0.5).all()


def test_places_are_equally_likely_and_half_of_the_images_are_flipped() -> None:
    number = 20_000
    sides = np.full(number, 10, np.int32)
    crops = square_crops(5, np.arange(number) % 7, np.arange(number), sides, sides, 0.8)
    for found in (crops.x, crops.y):  # 0, 1 and 2; 5 deviations of a share of a third
        shares = np.bincount(found, minlength=3) / number
        assert len(shares) == 3 and np.abs(shares - 1 / 3).max() < 5 * (2 / 9 / number) ** 0.5
    assert abs(crops.flip.mean() - 0.5) < 5 * 0.5 / number**0.5
    assert abs(np.corrcoef(crops.x, crops.y)[0, 1]) < 5 / number**0.5


def test_an_image_has_its_window_whatever_else_is_asked_for() -> None:
    sides = np.full(6, 100, np.int32)
    together = square_crops(1, np.array([0, 0, 1, 1, 2, 2]), np.array([4, 5, 4, 5, 4, 5]), sides, sides, 0.5)
    alone = square_crops(1, 1, np.array([5]), sides[:1], sides[:1], 0.5)
    assert (together.x[3], together.y[3], together.flip[3]) == (alone.x[0], alone.y[0], alone.flip[0])
    assert len({*zip(together.x.tolist(), together.y.tolist(), strict=True)}) > 1


@given(SIDES, st.floats(0.01, 1.0))
def test_centres_have_a_share_of_both_sides_in_the_middle(sides: list[tuple[int, int]], share: float) -> None:
    widths, heights = np.array(sides, np.int32).T
    crops = whole_images(widths, heights, share)
    for at, side, whole in ((crops.x, crops.width, widths), (crops.y, crops.height, heights)):
        assert (np.abs(side - np.maximum(1, whole * share)) <= 0.5).all()
        after = whole - at - side
        assert (at >= 0).all() and ((after - at == 0) | (after - at == 1)).all()
    assert not crops.flip.any()


def test_without_flips_and_with_all_of_the_image_nothing_is_altered() -> None:
    widths, heights = np.array([30, 7], np.int32), np.array([20, 900], np.int32)
    drawn = square_crops(2, 0, np.arange(2), widths, heights, 1.0, flipped=False)
    whole = whole_images(widths, heights)
    for found in (drawn, whole):
        assert not found.flip.any() and not found.x.any() and not found.y.any()
        assert (found.width == widths).all() and (found.height == heights).all()
