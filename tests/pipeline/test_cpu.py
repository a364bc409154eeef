"""The Pillow backend: threads, modes, and shrinking inside the decoder."""

import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.pipeline.augment import Crops, train_crops
from tagmill.pipeline.cpu import CpuBackend
from tagmill.pipeline.pillow import PillowWindows
from tests.pipeline.corpora import picture


def window(x: int, y: int, width: int, height: int, flip: bool = False) -> Crops:
    sides = (np.array([value], np.int32) for value in (x, y, width, height))
    return Crops(*sides, np.array([flip]))


def test_threads_do_not_change_a_pixel() -> None:
    jpegs: list[bytes | None] = [picture(i, 90, 70) for i in range(11)]
    jpegs[4], jpegs[7] = None, b"no picture"
    crops = train_crops(1, 0, np.arange(11), np.full(11, 90, np.int32), np.full(11, 70, np.int32))
    answers = []
    for threads in (1, 2, 5, 30):
        backend = CpuBackend(threads, PillowWindows())
        answers.append(backend.decode(jpegs, crops, 24))
        backend.close()
    for pixels, failed in answers[1:]:
        assert torch.equal(pixels, answers[0][0])
        assert (failed == answers[0][1]).all()


def test_close_leaves_no_threads() -> None:
    before = set(threading.enumerate())
    backend = CpuBackend(3, PillowWindows())
    backend.decode([picture(0)] * 6, train_crops(0, 0, np.arange(6), *[np.full(6, 32, np.int32)] * 2), 16)
    assert set(threading.enumerate()) - before
    backend.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("side", [600, 900, 2000])
def test_shrinking_in_the_decoder_stays_close_to_the_full_decode(side: int) -> None:
    jpeg = picture(side, side, side - 37)
    x, y, width, height = 31, 17, side - 80, side - 120
    backend = CpuBackend(1, PillowWindows())
    pixels, failed = backend.decode([jpeg], window(x, y, width, height), 64)
    backend.close()
    full = Image.open(io.BytesIO(jpeg)).crop((x, y, x + width, y + height))
    wanted = torch.from_numpy(np.array(full.resize((64, 64), Image.Resampling.BILINEAR))).permute(2, 0, 1)
    apart = (pixels[0].to(torch.int16) - wanted.to(torch.int16)).abs().float()
    assert not failed.any()
    assert apart.mean() < 1.5 and apart.max() < 16
    assert wanted.float().std() > 5


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_become_rgb(mode: str) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(3, 60, 60))).convert(mode).save(file, "JPEG", quality=95)
    backend = CpuBackend(1, PillowWindows())
    pixels, failed = backend.decode([file.getvalue()], window(0, 0, 60, 60), 30)
    backend.close()
    assert pixels.shape == (1, 3, 30, 30) and not failed.any()
    assert pixels.any()
    if mode == "L":
        assert torch.equal(pixels[0, 0], pixels[0, 1]) and torch.equal(pixels[0, 1], pixels[0, 2])


@pytest.mark.parametrize("box", [(-1, 0, 10, 10), (0, -1, 10, 10), (31, 0, 10, 10), (0, 31, 10, 10)])
def test_a_window_outside_the_picture_is_a_hole(box: tuple[int, int, int, int]) -> None:
    backend = CpuBackend(1, PillowWindows())
    pixels, failed = backend.decode([picture(0, 40, 40)], window(*box), 8)
    backend.close()
    assert failed.all() and not pixels.any()


def test_another_format_is_a_hole() -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, "PNG")
    backend = CpuBackend(1, PillowWindows())
    _, failed = backend.decode([file.getvalue()], window(0, 0, 40, 40), 8)
    backend.close()
    assert failed.all()


def test_a_bug_is_not_taken_for_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = CpuBackend(1, PillowWindows())
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        backend.decode([picture(0)], window(0, 0, 10, 10), 8)
    backend.close()
