import numpy as np
import pytest

from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.draw import POSES, SHAPES, draw
from tagmill.demo.scenes import SCENES


def test_every_concept_has_a_shape_and_a_pose_with_known_scenes() -> None:
    names = {concept.name for concept in CONCEPTS}
    assert names == set(POSES) == set(SHAPES)
    assert {scene for pose in POSES.values() for scene in pose.scenes} <= set(SCENES)


@pytest.mark.parametrize("name", [CONCEPTS[0].name, CONCEPTS[-1].name])
def test_an_image_is_a_function_of_its_generator(name: str) -> None:
    first, again, other = (draw(np.random.default_rng([3, k]), name) for k in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_sizes_vary_within_the_stated_range() -> None:
    sizes = [draw(np.random.default_rng([4, k]), CONCEPTS[k % len(CONCEPTS)].name).size for k in range(40)]
    assert all(280 <= max(size) <= 640 for size in sizes)
    assert all(1 <= max(size) / min(size) < 1.8 for size in sizes)
    assert len(set(sizes)) > 30 and any(w < h for w, h in sizes) and any(w > h for w, h in sizes)
