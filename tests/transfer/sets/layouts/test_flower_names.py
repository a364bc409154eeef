"""Names of flowers, beside torchvision's."""

from torchvision.datasets import Flowers102

from tagmill.transfer.sets.layouts.flower_names import FLOWERS


def test_names_are_those_of_torchvision() -> None:
    assert [*FLOWERS] == Flowers102.classes
