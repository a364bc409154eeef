import numpy as np
import pytest

from tagmill.demo.pen import Pen, box, hsv, mirrored, mix, moved, oval, smooth, turned


def square_pen(pixels: int = 80) -> Pen:
    half = pixels / 2
    return Pen(pixels, np.array([[half, 0, half], [0, half, half]]))


def test_colours() -> None:
    assert hsv(0, 1, 1) == (255, 0, 0)
    assert hsv(480, 1, 1) == (0, 255, 0)
    assert hsv(10, 5, -1) == (0, 0, 0)
    assert mix((0, 0, 0), (200, 100, 50), 0.5) == (100, 50, 25)


def test_outlines() -> None:
    assert np.allclose(turned([(1, 0)], 90), [(0, 1)])
    assert np.allclose(moved([(1, 0)], 2, 3), [(3, 3)])
    assert np.allclose(np.linalg.norm(oval(0, 0, 2, 2, 33), axis=1), 2)
    assert np.allclose(mirrored([(0, 0), (1, 1)]).sum(axis=0)[0], 0)
    rounded = box(-1, -1, 1, 1, 0.3)
    assert rounded.min() == pytest.approx(-1) and rounded.max() == pytest.approx(1)
    corners = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0)]
    curve = smooth(corners, closed=False, steps=4)
    assert all(np.isclose(curve, corner).all(axis=1).any() for corner in corners)


def test_colour_is_premultiplied_and_the_mask_marks_the_shape() -> None:
    pen = square_pen()
    pen.fill(box(-0.5, -0.5, 0.5, 0.5), (200, 100, 50))
    pen.line([(-0.8, 0.8), (0.8, 0.8)], 0.1, (10, 20, 30))
    colour, mask = np.asarray(pen.colour), np.asarray(pen.mask)
    assert set(np.unique(mask)) == {0, 255}
    assert not colour[mask == 0].any()
    assert tuple(colour[40, 40]) == (200, 100, 50) and mask[72, 40] == 255


def test_a_translucent_fill_tints_and_does_not_grow_the_shape() -> None:
    pen = square_pen()
    pen.fill(box(-0.5, -0.5, 0.5, 0.5), (200, 0, 0))
    before = np.asarray(pen.mask).copy()
    pen.fill(box(-0.9, -0.9, 0.9, 0.9), (0, 0, 200), alpha=128)
    assert (np.asarray(pen.mask) == before).all()
    red, _, blue = np.asarray(pen.colour)[40, 40]
    assert 80 < red < 120 and 80 < blue < 120


def test_inside_clips_nested_drawing() -> None:
    pen = square_pen()
    with pen.inside(box(-0.5, -0.5, 0.5, 0.5)):
        pen.fill(box(-2, -2, 2, 2), (0, 255, 0))
        with pen.inside(box(0.0, -2, 2, 2)):
            pen.fill(box(-2, -2, 2, 2), (255, 0, 0))
    colour, mask = np.asarray(pen.colour), np.asarray(pen.mask)
    assert tuple(colour[40, 30]) == (0, 255, 0) and tuple(colour[40, 50]) == (255, 0, 0)
    assert mask[40, 40] == 255 and mask[10, 10] == 0 and not colour[10, 10].any()
    pen.dot(-0.8, -0.8, 0.1, (9, 9, 9))
    assert np.asarray(pen.mask)[8, 8] == 255
