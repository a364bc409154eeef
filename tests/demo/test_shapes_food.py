import pytest

from tagmill.demo.shapes_food import DRAWN
from tests.demo.looks import assert_fills_its_frame_and_varies


@pytest.mark.parametrize("name", DRAWN)
def test_every_shape(name: str) -> None:
    assert_fills_its_frame_and_varies(DRAWN[name])
