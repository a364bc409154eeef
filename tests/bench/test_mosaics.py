"""Tests mosaics: photographs in their own size, the wanted number of them, each another."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import measure, mosaics

SIDES = [(50, 40), (60, 30), (40, 70)]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    made = []
    for number, sides in enumerate(SIDES):
        made.append(tmp_path / f"{number}.jpg")
        Image.new("RGB", sides, (60 + 60 * number, 90, 120)).save(made[-1], "JPEG", quality=95)
    return made


def test_photographs_side_by_side_leave_nothing_out(pictures: list[Path]) -> None:
    with Image.open(io.BytesIO(mosaics.mosaic(pictures, 120))) as image:
        assert image.size == (160, 120)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels[..., 1].min() > 60, "no pixel is left black"
    wanted = [60] * 45 + [120] * 50 + [180] * 30  # inside the first row, away from borders that JPEG blurs
    assert (np.abs(pixels[10, [*range(45), *range(55, 105), *range(115, 145)], 0] - wanted) < 12).all()


def test_mosaics_are_made_once_and_differ(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    made = mosaics.prepare(pictures, 120, 3)
    assert len(made) == len({path.read_bytes() for path in made}) == 3
    made[0].write_bytes(b"kept")
    assert mosaics.prepare(pictures, 120, 3) == made and made[0].read_bytes() == b"kept"
    others = mosaics.prepare(pictures, 130, 3) + mosaics.prepare(pictures[:2], 120, 3)
    assert not set(made) & set(others)
