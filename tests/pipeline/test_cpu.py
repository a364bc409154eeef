"""The CPU backend: pictures are resized, mirrored and normalised in threads, into memory that is used again."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from tagmill.pipeline.augment import Crops, train_crops
from tagmill.pipeline.batch import Normalisation, normalise
from tagmill.pipeline.cpu import CpuBackend
from tagmill.pipeline.pillow import PillowWindows
from tests.pipeline.corpora import picture

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


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


def test_torch_keeps_its_threads_elsewhere() -> None:
    before = torch.get_num_threads()
    backend = CpuBackend(3, PillowWindows())
    inside = {backend._pool.submit(torch.get_num_threads).result() for _ in range(12)}
    assert inside == {1}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == before
    backend.close()


def test_close_leaves_no_threads() -> None:
    before = set(threading.enumerate())
    backend = CpuBackend(3, PillowWindows())
    backend.decode([picture(0)] * 6, train_crops(0, 0, np.arange(6), *[np.full(6, 32, np.int32)] * 2), 16)
    assert set(threading.enumerate()) - before
    backend.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("size", [224, 160, 33])
def test_pixels_are_those_of_pillow_to_the_bit(size: int) -> None:
    """On a processor with AVX2, for which torch has the same fixed-point kernel; elsewhere a level apart."""
    jpegs = [picture(i, 256 + 9 * i, 256) for i in range(8)]
    crops = train_crops(
        2, 0, np.arange(8), np.array([256 + 9 * i for i in range(8)], np.int32), np.full(8, 256, np.int32)
    )
    backend = CpuBackend(2, PillowWindows())
    pixels, failed = backend.decode(jpegs, crops, size)
    backend.close()
    assert not failed.any() and crops.flip.any() and not crops.flip.all()
    for row, jpeg in enumerate(jpegs):
        x, y, width, height = (int(side[row]) for side in (crops.x, crops.y, crops.width, crops.height))
        window = Image.open(io.BytesIO(jpeg)).crop((x, y, x + width, y + height))
        small = window.resize((size, size), Image.Resampling.BILINEAR)
        if crops.flip[row]:
            small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        wanted = torch.from_numpy(np.array(small)).permute(2, 0, 1)
        apart = (pixels[row].to(torch.int16) - wanted.to(torch.int16)).abs().max()
        assert apart <= (0 if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") else 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [224, 20])
def test_normalised_as_torch_would(dtype: torch.dtype, size: int) -> None:
    images = torch.randint(0, 256, (7, 3, size, size), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    valid = torch.tensor([True, True, False, True, False, True, True])
    images[~valid] = 0
    backend = CpuBackend(3, PillowWindows())
    found = backend.normalise(images, valid, Normalisation(MEAN, STD, dtype))
    backend.close()
    wanted = normalise(images, valid, Normalisation(MEAN, STD, torch.float32))
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    assert not found[~valid].any()
    step = 2e-6 if dtype == torch.float32 else 2**-8  # rounding of a difference of numbers up to 2.7
    torch.testing.assert_close(found.float(), wanted, rtol=step, atol=2e-6)


def test_memory_of_a_dropped_batch_is_used_again_and_not_of_one_that_is_held() -> None:
    jpegs: list[bytes | None] = [picture(i, 64, 64) for i in range(3)]
    crops = train_crops(1, 0, np.arange(3), np.full(3, 64, np.int32), np.full(3, 64, np.int32))
    backend = CpuBackend(1, PillowWindows())
    held, _ = backend.decode(jpegs, crops, 32)
    kept = held.clone()
    places = set()
    for _ in range(6):
        pixels, _ = backend.decode([None, *jpegs[1:]], crops, 32)
        assert not pixels[0].any(), "a place without a picture is zero in used memory too"
        places.add(pixels.data_ptr())
        del pixels
    assert len(places) == 1 and held.data_ptr() not in places
    assert torch.equal(held, kept)
    backend.close()


class Groups:
    """Windows in groups of two, of which some cannot be decoded; and how many groups were begun when one was worked on."""

    def __init__(self, bad: set[int]) -> None:
        self.bad, self.closed = bad, False

    def groups(
        self, jpegs: Sequence[bytes | None], crops: Crops, size: int, coming: object = None
    ) -> Iterator[tuple[Sequence[int], Callable[[int], npt.NDArray[np.uint8] | None]]]:
        rows = [row for row, jpeg in enumerate(jpegs) if jpeg is not None]
        for first in range(0, len(rows), 2):
            shared = np.full((9, 11, 3), first, np.uint8)
            yield rows[first : first + 2], lambda row, shared=shared: None if row in self.bad else shared  # type: ignore[misc]
            shared[:] = 255  # a window is not looked at after the next group was asked for

    def close(self) -> None:
        self.closed = True


def test_groups_of_windows_fill_their_rows() -> None:
    windows = Groups({3, 4})
    backend = CpuBackend(2, windows)
    zeros = np.zeros(8, np.int32)
    crops = Crops(zeros, zeros, zeros + 11, zeros + 9, np.arange(8) % 3 == 0)
    pixels, failed = backend.decode([None, *[b"x"] * 7], crops, 5)
    assert failed.tolist() == [False, False, False, True, True, False, False, False]
    assert [image.unique().tolist() for image in pixels] == [[0], [0], [0], [0], [0], [4], [4], [6]]
    backend.close()
    assert windows.closed
