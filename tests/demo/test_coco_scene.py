"""Images with several concepts."""

import numpy as np
import pytest

from tagmill.demo.coco_scene import LEAST_PIXELS, draw_coco_scene
from tagmill.demo.concepts import BY_NAME
from tagmill.demo.plant import COCO_STREAM, generator


@pytest.fixture(scope="module")
def scenes() -> list[tuple[int, object]]:
    return [(seed, draw_coco_scene(generator(3, seed, COCO_STREAM), 48)) for seed in range(1, 17)]


def test_equal_generators_give_equal_images(scenes: list) -> None:
    for seed, scene in scenes[:4]:
        again = draw_coco_scene(generator(3, seed, COCO_STREAM), 48)
        assert again.image.tobytes() == scene.image.tobytes()
        assert [(each.concept, each.crowd) for each in again.things] == [
            (each.concept, each.crowd) for each in scene.things
        ]
        assert all((a.mask == b.mask).all() for a, b in zip(again.things, scene.things, strict=True))


def test_things_are_concepts_with_visible_pixels(scenes: list) -> None:
    for _, scene in scenes:
        assert max(scene.image.size) == 48 and scene.image.mode == "RGB"
        for each in scene.things:
            assert each.concept in BY_NAME
            assert each.mask.shape == (scene.image.height, scene.image.width)
            assert each.mask.sum() >= LEAST_PIXELS
        assert sum(each.crowd for each in scene.things) <= 1


def test_there_are_images_with_few_with_several_and_with_crowds(scenes: list) -> None:
    numbers = {len(scene.things) for _, scene in scenes}
    assert min(numbers) <= 1 and max(numbers) >= 3
    assert any(each.crowd for _, scene in scenes for each in scene.things)


def test_pixels_of_a_thing_differ_from_the_background_around_it(scenes: list) -> None:
    """The mask is where the object was drawn: inside it, colours differ more from the mean outside than outside it."""
    further = 0
    single = [scene for _, scene in scenes if len(scene.things) == 1 and not scene.things[0].crowd]
    assert len(single) >= 3
    for scene in single:
        pixels, mask = np.asarray(scene.image, dtype=float), scene.things[0].mask
        distance = np.abs(pixels - pixels[~mask].mean(0)).sum(2)
        further += distance[mask].mean() > distance[~mask].mean()
    assert further > len(single) / 2
