"""Tests the CPU backend: images are resized, flipped and normalised in threads, into reused memory."""

import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.batch import Normalisation, normalise
from tagmill.pipeline.decode import libjpeg, pillow
from tagmill.pipeline.decode.cpu import CpuBackend
from tagmill.pipeline.decode.threads.turns import Turns
from tests.pipeline.corpora import picture

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def test_the_number_of_threads_does_not_change_a_pixel() -> None:
    jpegs: list[bytes | None] = [picture(i, 90, 70) for i in range(11)]
    jpegs[4], jpegs[7] = None, b"no picture"
    crops = train_crops(1, 0, np.arange(11), np.full(11, 90, np.int32), np.full(11, 70, np.int32))
    answers = []
    for threads in (1, 2, 5, 30):
        backend = CpuBackend(threads, pillow.fill_with_pillow)
        answers.append(backend.decode(jpegs, crops, 24))
        backend.close()
    for pixels, failed in answers[1:]:
        assert torch.equal(pixels, answers[0][0])
        assert (failed == answers[0][1]).all()


def test_torch_keeps_its_threads_outside_the_pool() -> None:
    before = torch.get_num_threads()
    backend = CpuBackend(3, pillow.fill_with_pillow)
    inside = {backend._pool.submit(torch.get_num_threads).result() for _ in range(12)}
    assert inside == {1}
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == before
    backend.close()


def test_close_leaves_no_threads() -> None:
    before = set(threading.enumerate())
    backend = CpuBackend(3, pillow.fill_with_pillow)
    backend.decode([picture(0)] * 6, train_crops(0, 0, np.arange(6), *[np.full(6, 32, np.int32)] * 2), 16)
    assert set(threading.enumerate()) - before
    backend.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("size", [224, 160, 33])
@pytest.mark.parametrize("fill", [pillow.fill_with_pillow, libjpeg.fill_with_libjpeg], ids=["pillow", "libjpeg"])
def test_pixels_equal_pillows_to_the_bit(fill: Any, size: int) -> None:
    """On a processor with AVX2, for which torch has the same fixed-point kernel; on others within one level."""
    jpegs = [picture(i, 256 + 9 * i, 256) for i in range(8)]
    crops = train_crops(
        2, 0, np.arange(8), np.array([256 + 9 * i for i in range(8)], np.int32), np.full(8, 256, np.int32)
    )
    backend = CpuBackend(2, fill)
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
def test_normalised_values_equal_torchs(dtype: torch.dtype, size: int) -> None:
    images = torch.randint(0, 256, (7, 3, size, size), dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    valid = torch.tensor([True, True, False, True, False, True, True])
    images[~valid] = 0
    backend = CpuBackend(3, pillow.fill_with_pillow)
    found = backend.normalise(images, valid, Normalisation(MEAN, STD, dtype))
    backend.close()
    wanted = normalise(images, valid, Normalisation(MEAN, STD, torch.float32))
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    assert not found[~valid].any()
    step = 2e-6 if dtype == torch.float32 else 2**-8  # rounding of a difference of numbers up to 2.7
    torch.testing.assert_close(found.float(), wanted, rtol=step, atol=2e-6)


def test_memory_of_a_dropped_batch_is_reused_and_that_of_a_held_one_is_not() -> None:
    jpegs: list[bytes | None] = [picture(i, 64, 64) for i in range(3)]
    crops = train_crops(1, 0, np.arange(3), np.full(3, 64, np.int32), np.full(3, 64, np.int32))
    backend = CpuBackend(1, pillow.fill_with_pillow)
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


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until other threads have made a condition true; returns after a while, so that the test's own assertion
    fails."""
    limit = time.monotonic() + 20
    while not condition() and time.monotonic() < limit:
        time.sleep(0.001)


class Filler:
    """Fills each row with the image's first byte, waits for a gate at those that request it, loses others that do."""

    def __init__(self) -> None:
        self.given: list[tuple[bytes, int]] = []
        self.gate, self.held = threading.Event(), threading.Event()

    def fill(
        self,
        batch: npt.NDArray[Any],
        rows: Sequence[int],
        jpegs: Sequence[bytes],
        crops: Crops,
        how: object,
        turns: Turns,
    ) -> list[int]:
        assert len(rows) == len(jpegs) == len(crops) and crops.x.tolist() == list(rows), "each with its own window"
        lost = []
        for number in turns:
            self.given.append((jpegs[number], rows[number]))
            if jpegs[number] == b"wait":
                self.held.set()
                assert self.gate.wait(30)
            batch[rows[number]] = jpegs[number][0]
            if jpegs[number] == b"bad":
                lost.append(rows[number])
        return lost


def numbered(count: int) -> Crops:
    sides = (np.arange(count, dtype=np.int32) for _ in range(4))
    return Crops(*sides, np.zeros(count, np.bool_))


def test_the_turns_of_a_batch_cover_its_rows_and_report_lost_ones() -> None:
    filler = Filler()
    backend = CpuBackend(2, filler.fill)
    jpegs = [None, *[bytes([row]) for row in range(1, 20)], b"bad", None, b"bad"]
    pixels, failed = backend.decode(jpegs, numbered(len(jpegs)), 3)
    assert np.flatnonzero(failed).tolist() == [20, 22]
    assert sorted(row for _, row in filler.given) == [row for row, jpeg in enumerate(jpegs) if jpeg is not None]
    assert pixels[:20, 0, 0, 0].tolist() == list(range(20)) and not pixels[21].any()
    seconds = backend.seconds()
    assert seconds is not None and ((seconds > 0) == [jpeg is not None for jpeg in jpegs]).all()
    backend.close()


def test_the_next_batch_is_started_during_the_current_one() -> None:
    filler = Filler()
    backend = CpuBackend(2, filler.fill)
    first, second = [b"a"] * 6, [b"wait", *[b"b"] * 5]
    known = [(second, numbered(6), 3)]
    pixels, _ = backend.decode(first, numbered(6), 3, None, lambda ahead: known[ahead] if ahead < 1 else None)
    assert (pixels == ord("a")).all(), "and one does not wait for the other"
    filler.gate.set()
    pixels, _ = backend.decode(second, numbered(6), 3, None, lambda _: None)
    assert pixels[:, 0, 0, 0].tolist() == [ord("w"), *[ord("b")] * 5]
    assert len(filler.given) == 12, "nothing was done twice"
    backend.close()


@given(threads=st.integers(2, 5), ahead=st.integers(0, 6), place=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_slow_image_holds_up_no_other_of_the_batches_that_are_known(threads: int, ahead: int, place: int) -> None:
    """The slow one is held until all others were decoded, in its own batch and in those ahead; no further batch begins."""
    filler = Filler()
    backend = CpuBackend(threads, filler.fill)
    batches = [[bytes([1 + number])] * 6 for number in range(ahead + 1)]
    batches[0][place] = b"wait"
    known = batches[1:]
    others = 6 * len(batches) - 1

    def coming(number: int) -> tuple[list[bytes], Crops, int] | None:
        if number < len(known):
            return known[number], numbered(6), 3
        return None

    decoded = ThreadPoolExecutor(1)
    first = decoded.submit(backend.decode, batches[0], numbered(6), 3, None, coming)
    assert filler.held.wait(30)
    wait_for(lambda: len(filler.given) == others + 1)
    assert not first.done() and len(filler.given) == others + 1, "all others are decoded while it is held"
    progress = backend.seconds()
    assert progress is not None and np.flatnonzero(progress < 0).tolist() == [place], "and it is named"
    filler.gate.set()
    for jpegs in batches:
        pixels, failed = first.result() if jpegs is batches[0] else backend.decode(jpegs, numbered(6), 3)
        assert pixels[:, 0, 0, 0].tolist() == [jpeg[0] for jpeg in jpegs] and not failed.any()
    assert len(filler.given) == others + 1, "nothing was done twice"
    decoded.shutdown()
    backend.close()


def test_a_batch_that_becomes_known_later_begins_after_wake() -> None:
    filler = Filler()
    backend = CpuBackend(2, filler.fill)
    known: list[list[bytes]] = []
    asked = threading.Event()

    def coming(number: int) -> tuple[list[bytes], Crops, int] | None:
        asked.set()
        return (known[number], numbered(6), 3) if number < len(known) else None

    with ThreadPoolExecutor(1) as decoded:
        first = decoded.submit(backend.decode, [b"wait", *[b"a"] * 5], numbered(6), 3, None, coming)
        assert filler.held.wait(30) and asked.wait(30)
        wait_for(lambda: len(filler.given) == 6)
        known.append([b"b"] * 6)
        backend.wake()
        wait_for(lambda: len(filler.given) == 12)
        assert len(filler.given) == 12 and not first.done()
        filler.gate.set()
        first.result()
    backend.close()


def test_begin_starts_two_batches_where_each_ends_before_the_next_is_known() -> None:
    """Else batches that are decoded faster than they are put together would be begun without end."""
    filler = Filler()
    backend = CpuBackend(2, filler.fill)
    asked = list[int]()

    def coming(number: int) -> tuple[list[bytes], Crops, int]:
        asked.append(number)
        assert len(asked) < 10, "without end"
        wait_for(lambda: all(work.filling.is_done for work in backend._begun))
        return [b"a"] * 6, numbered(6), 3

    backend.begin(coming, None)
    assert asked == [0, 1]
    backend.close()


def test_augmentations_come_before_the_images_of_later_batches() -> None:
    """Else the batch that is being augmented would wait for batches after it."""
    filler = Filler()
    backend = CpuBackend(1, filler.fill)
    later = [b"wait", *[b"b"] * 5]
    backend.decode([b"a"], numbered(1), 3, None, lambda ahead: (later, numbered(6), 3) if ahead < 1 else None)
    assert filler.held.wait(30)
    seen = list[int]()
    with ThreadPoolExecutor(1) as other:
        shared = other.submit(backend.share, np.ones(2, np.bool_), lambda _: seen.append(len(filler.given)))
        wait_for(lambda: backend._pool._calls)
        filler.gate.set()
        shared.result()
    assert seen == [2], "after the image in progress"
    backend.decode(later, numbered(6), 3)
    assert len(filler.given) == 7
    backend.close()


def test_an_announced_batch_that_is_not_requested_is_cancelled() -> None:
    """So is one that is requested in another size: its pixels are not used."""
    filler = Filler()
    filler.gate.set()
    backend = CpuBackend(1, filler.fill)
    batches = [[bytes([value])] * 5 for value in range(1, 5)]
    backend.decode(batches[0], numbered(5), 3, None, lambda ahead: None if ahead else (batches[1], numbered(5), 3))
    pixels, _ = backend.decode(
        batches[2], numbered(5), 3, None, lambda ahead: None if ahead else (batches[3], numbered(5), 3)
    )
    assert (pixels == 3).all()
    pixels, _ = backend.decode(batches[3], numbered(5), 7)
    assert pixels.shape[-1] == 7 and (pixels == 4).all()
    backend.close()


def test_an_error_in_a_thread_is_raised() -> None:
    def failing(*args: object) -> list[int]:
        raise ZeroDivisionError

    backend = CpuBackend(2, failing)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            backend.decode([b"a"] * 3, numbered(3), 3, None, lambda ahead: None if ahead else ([b"b"], numbered(1), 3))
    backend.close()
