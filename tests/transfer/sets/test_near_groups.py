"""Near duplicates of a set in one group."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.near_groups import near_groups
from tests.transfer.drawn_set import DrawnSet


def photograph(seed: int, quality: int = 95, side: int = 256, light: int = 0) -> bytes:
    """Returns a smooth random image, which has much detail for PDQ, as a JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 200, (12, 12, 3), np.uint8) + np.uint8(light)
    image = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC).resize((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def made(images: Sequence[bytes | None], groups: Sequence[str]) -> DrawnSet:
    examples = [Example(f"k{n}", (n % 2,), group) for n, group in enumerate(groups)]
    return DrawnSet("made", "here", (SetClass("a"), SetClass("b")), examples, "0" * 64, tuple(images))


def test_copies_and_groups_are_joined_by_chains() -> None:
    flat = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 9, 9)).save(flat, "PNG")
    images = [
        photograph(0),
        photograph(1),
        photograph(0, quality=40, side=200),  # of the first
        photograph(2),
        photograph(2),  # the same bytes
        photograph(3),
        photograph(1, light=20),  # of the second
        b"no image",
        None,
        flat.getvalue(),
        flat.getvalue(),  # too little detail: no near duplicate
        photograph(4),
    ]
    groups = ["", "g", "", "", "", "g", "", "h", "h", "", "", "alone"]
    found = near_groups(made(images, groups))
    assert found.groups == ("k0", "k1", "k0", "k3", "k3", "k1", "k1", "k7", "k7", "", "", "")
    assert (found.joined, found.low_quality, found.unreadable) == (6, 2, 2)
    assert near_groups(made(images, groups), threads=1) == near_groups(made(images, groups), threads=3) == found


def test_nothing_is_joined_without_near_duplicates() -> None:
    found = near_groups(made([photograph(seed) for seed in range(5)], [""] * 5))
    assert found.groups == ("",) * 5 and found.joined == 0
