"""Tests windows that Pillow decodes: modes, other formats, and shrinking inside the decoder."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.decode import pillow
from tagmill.pipeline.decode.cpu import CpuBackend
from tests.pipeline.corpora import picture


@pytest.fixture
def backend() -> Iterator[CpuBackend]:
    made = CpuBackend(1, pillow.fill_with_pillow)
    yield made
    made.close()


def window(x: int, y: int, width: int, height: int, flip: bool = False) -> Crops:
    sides = (np.array([value], np.int32) for value in (x, y, width, height))
    return Crops(*sides, np.array([flip]))


@pytest.mark.parametrize("side", [600, 900, 2000])
def test_shrinking_in_the_decoder_stays_close_to_the_full_decode(backend: CpuBackend, side: int) -> None:
    jpeg = picture(side, side, side - 37)
    x, y, width, height = 31, 17, side - 80, side - 120
    pixels, failed = backend.decode([jpeg], window(x, y, width, height), 64)
    full = Image.open(io.BytesIO(jpeg)).crop((x, y, x + width, y + height))
    wanted = torch.from_numpy(np.array(full.resize((64, 64), Image.Resampling.BILINEAR))).permute(2, 0, 1)
    apart = (pixels[0].to(torch.int16) - wanted.to(torch.int16)).abs().float()
    assert not failed.any()
    assert apart.mean() < 1.5 and apart.max() < 16
    assert wanted.float().std() > 5


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_become_rgb(backend: CpuBackend, mode: str) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(3, 60, 60))).convert(mode).save(file, "JPEG", quality=95)
    pixels, failed = backend.decode([file.getvalue()], window(0, 0, 60, 60), 30)
    assert pixels.shape == (1, 3, 30, 30) and not failed.any()
    assert pixels.any()
    if mode == "L":
        assert torch.equal(pixels[0, 0], pixels[0, 1]) and torch.equal(pixels[0, 1], pixels[0, 2])


@pytest.mark.parametrize("box", [(-1, 0, 10, 10), (0, -1, 10, 10), (31, 0, 10, 10), (0, 31, 10, 10)])
def test_a_window_outside_the_image_is_a_hole(backend: CpuBackend, box: tuple[int, int, int, int]) -> None:
    pixels, failed = backend.decode([picture(0, 40, 40)], window(*box), 8)
    assert failed.all() and not pixels.any()


def test_another_format_is_a_hole(backend: CpuBackend) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, "PNG")
    _, failed = backend.decode([file.getvalue()], window(0, 0, 40, 40), 8)
    assert failed.all()


def test_a_bug_is_not_taken_for_a_hole(backend: CpuBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backend.decode([picture(0)], window(0, 0, 10, 10), 8)
