"""Tests the contract of every backend, and the choice of one for a configuration."""

import importlib.util
import io
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.pipeline.augment.draws import Crops, eval_crops, train_crops
from tagmill.pipeline.batch import Mix, Normalisation, normalise
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode import cpu_affinity, libjpeg
from tagmill.pipeline.decode.backend import Backend, batches_ahead, choose
from tagmill.pipeline.decode.buffer_pool import page_locked, paged
from tagmill.pipeline.decode.choice.device import warn_once
from tagmill.pipeline.decode.choice.division import DIVISION_PERIOD
from tagmill.pipeline.decode.choice.pictures import Pictures
from tagmill.pipeline.decode.cpu import CpuBackend
from tagmill.pipeline.decode.in_turn import InTurn
from tagmill.pipeline.decoding import Decoding
from tagmill.shards.errors import ConfigError
from tests.pipeline.corpora import picture

HAS_DALI = importlib.util.find_spec("nvidia") is not None and importlib.util.find_spec("nvidia.dali") is not None
NEEDS_DALI = pytest.mark.skipif(not HAS_DALI, reason="needs nvidia-dali")
COMPILED = pytest.mark.skipif(not libjpeg.libjpeg_is_compiled(), reason="libjpeg.c was not compiled")
BACKENDS = ["pillow", "cpu", pytest.param("dali", marks=NEEDS_DALI)]
IN_TURN = pytest.param("both", marks=NEEDS_DALI)  # two backends: the contract is that of each for its own batches

# Limits of the difference between two backends' pixels, in levels of 0..255. They decode alike; when they reduce a
# window they treat the border pixels differently (one repeats the border, the other omits it from the mean), and the
# CPU backends let the decoder do a part of reductions to a sixth or less.
INSIDE, BORDER, MEAN_SHRUNK = 2, 24, 2.5

WIDTHS = [256, 341, 293, 270, 256, 400]
HEIGHTS = [256, 256, 300, 384, 343, 256]
PICTURES = [picture(i, width, height) for i, (width, height) in enumerate(zip(WIDTHS, HEIGHTS, strict=True))]
SIDES = np.array(WIDTHS, np.int32), np.array(HEIGHTS, np.int32)


LARGE = Pictures(307_000)  # bytes: so large that DALI decodes them


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    made = choose(LoaderConfig(backend=request.param, threads=2))
    yield made
    made.close()


def whole(widths: list[int], heights: list[int], flip: bool = False) -> Crops:
    """Returns windows that are the whole images."""
    zero = np.zeros(len(widths), np.int32)
    return Crops(zero, zero, np.array(widths, np.int32), np.array(heights, np.int32), np.full(len(widths), flip))


@NEEDS_DALI
@pytest.mark.parametrize("size", [224, 128, 40])
@pytest.mark.parametrize("kind", ["train", "eval"])
def test_backends_agree(size: int, kind: str) -> None:
    crops = train_crops(7, 1, np.arange(6), *SIDES) if kind == "train" else eval_crops(*SIDES, size)
    images = []
    for name in ("pillow", "cpu", "dali"):
        made = choose(LoaderConfig(backend=name, threads=2))
        pixels, failed = made.decode(PICTURES, crops, size)
        made.close()
        assert not failed.any()
        images.append(pixels.to(torch.int16))
    apart = torch.maximum((images[0] - images[2]).abs(), (images[1] - images[2]).abs())
    shrunk = torch.from_numpy(np.minimum(crops.width, crops.height) >= 6 * size)
    assert int(apart[~shrunk][:, :, 2:-2, 2:-2].max()) <= INSIDE if (~shrunk).any() else True
    assert int(apart[~shrunk].max()) <= BORDER if (~shrunk).any() else True
    assert float(apart.float().mean((1, 2, 3)).max()) <= MEAN_SHRUNK
    assert float(images[0].float().std()) > 10  # the comparison is not empty


def test_shape_memory_and_holes(backend: Backend) -> None:
    jpegs = [PICTURES[0], None, PICTURES[2], None]
    pixels, failed = backend.decode(jpegs, whole(WIDTHS[:4], HEIGHTS[:4]), 32)
    assert pixels.shape == (4, 3, 32, 32) and pixels.dtype == torch.uint8
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    assert not failed.any()
    assert [bool(image.any()) for image in pixels] == [True, False, True, False]


def test_windows_have_the_right_position(backend: Backend) -> None:
    """Each quarter of an image has its own colour; the window of a quarter shows only that colour."""
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)]
    image = Image.new("RGB", (320, 256))
    for number, colour in enumerate(colours):
        image.paste(colour, (160 * (number % 2), 128 * (number // 2), 160 * (number % 2 + 1), 128 * (number // 2 + 1)))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    x, y = np.array([0, 160, 0, 160], np.int32), np.array([0, 0, 128, 128], np.int32)
    crops = Crops(x, y, np.full(4, 160, np.int32), np.full(4, 128, np.int32), np.zeros(4, np.bool_))
    pixels, _ = backend.decode([file.getvalue()] * 4, crops, 48)
    for shown, colour in zip(pixels, colours, strict=True):
        assert (shown.to(torch.int16) - torch.tensor(colour).view(3, 1, 1)).abs()[:, 3:-3, 3:-3].max() <= 4


def test_a_flip_is_an_exact_mirror_image(backend: Backend) -> None:
    straight, _ = backend.decode(PICTURES, whole(WIDTHS, HEIGHTS), 64)
    mirrored, _ = backend.decode(PICTURES, whole(WIDTHS, HEIGHTS, flip=True), 64)
    assert torch.equal(straight.flip(3), mirrored)
    assert not torch.equal(straight, mirrored)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_floats_in_one_step_equal_those_of_two_steps(backend: Backend, dtype: torch.dtype) -> None:
    how = Normalisation(LoaderConfig.mean, LoaderConfig.std, dtype)
    jpegs = [*PICTURES[:2], None, b"no picture", *PICTURES[4:]]
    crops = train_crops(3, 0, np.arange(6), *SIDES)
    pixels, failed = backend.decode(jpegs, crops, 52)
    floats, failed_too = backend.decode(jpegs, crops, 52, how)
    assert failed.tolist() == failed_too.tolist() == [False, False, False, True, False, False]
    assert floats.dtype == dtype and floats.is_contiguous(memory_format=torch.channels_last)
    valid = torch.tensor([True, True, False, False, True, True])
    assert torch.equal(floats, backend.normalise(pixels, valid, how))
    assert not floats[~valid].any() and floats[valid].any()


def test_the_next_batch_may_differ_from_the_announced_one(backend: Backend) -> None:
    """A backend may start the next batch early, of whatever size; if another one comes instead, nothing changes."""
    crops = train_crops(4, 0, np.arange(6), *SIDES)
    batches = [list(PICTURES), list(PICTURES[::-1]), [b"text", *PICTURES[1:]]]
    wide = whole(WIDTHS[::-1], HEIGHTS[::-1])
    orders = [(batches[0], crops, 40), (batches[1], wide, 24), (batches[2], crops, 67)]
    alone = [backend.decode(*order) for order in orders]
    for said in ([1, 2, 0], [2, 2, 2], [0, 1, 2]):
        for number, order in enumerate(orders):
            pixels, failed = backend.decode(*order, None, lambda _, said=said, number=number: orders[said[number]])  # type: ignore[misc]
            assert torch.equal(pixels, alone[number][0]) and failed.tolist() == alone[number][1].tolist()
    pixels, _ = backend.decode(*orders[1], None, lambda _: None)
    assert torch.equal(pixels, alone[1][0])


TABLE = PICTURES[1].index(b"\xff\xc4") + 5
BROKEN = {
    "impossible Huffman table": PICTURES[1][:TABLE] + b"\xff" * 16 + PICTURES[1][TABLE + 16 :],
    "cut": PICTURES[1][: len(PICTURES[1]) // 2],
    "header only": PICTURES[1][:200],
    "empty": b"",
    "text": b"<html><body>404 Not Found</body></html>",
    "noise": np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8).tobytes(),
    "smaller than its window": picture(3, 100, 100),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_image_is_one_hole(backend: Backend, kind: str) -> None:
    good, _ = backend.decode(PICTURES, whole(WIDTHS, HEIGHTS), 48)
    jpegs = [*PICTURES[:1], BROKEN[kind], *PICTURES[2:]]
    pixels, failed = backend.decode(jpegs, whole(WIDTHS, HEIGHTS), 48)
    assert failed.tolist() == [False, True, False, False, False, False]
    assert not pixels[1].any()
    rest = [0, 2, 3, 4, 5]
    assert torch.equal(pixels[rest], good[rest])
    again, failed = backend.decode(PICTURES, whole(WIDTHS, HEIGHTS), 48)  # and the backend still works
    assert not failed.any() and torch.equal(again, good)


def test_many_broken_images_and_none_left(backend: Backend) -> None:
    crops = whole(WIDTHS, HEIGHTS)
    _, failed = backend.decode([BROKEN["cut"], PICTURES[1], BROKEN["text"], None, b"", PICTURES[5]], crops, 32)
    assert failed.tolist() == [True, False, True, False, True, False]
    pixels, failed = backend.decode([BROKEN["text"]] * 6, crops, 32)
    assert failed.all() and not pixels.any()


def test_the_last_batch_is_not_overwritten(backend: Backend) -> None:
    first, _ = backend.decode(PICTURES[:2], whole(WIDTHS[:2], HEIGHTS[:2]), 32)
    kept = first.clone()
    backend.decode(PICTURES[2:4], whole(WIDTHS[2:4], HEIGHTS[2:4]), 32)
    backend.decode(PICTURES, whole(WIDTHS, HEIGHTS), 32)
    assert torch.equal(first, kept)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pillow", "decoding with Pillow, 3 threads"),
        pytest.param("auto", "decoding with libjpeg, 3 threads", marks=COMPILED),
        pytest.param("cpu", "decoding with libjpeg, 3 threads", marks=COMPILED),
    ],
)
def test_on_the_cpu_the_fastest_backend_is_chosen_and_logged(
    name: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        made = choose(LoaderConfig(backend=name, threads=3))
    made.close()
    assert isinstance(made, CpuBackend)
    assert said in caplog.text


@pytest.mark.parametrize("backend", ["cpu", pytest.param("dali", marks=NEEDS_DALI)])
def test_decoding_threads_follow_the_budget_of_cores(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_affinity, "quota_cores", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    for config, threads in (({}, 6), ({"cores": 4}, 4), ({"cores": 9}, 6), ({"cores": 4, "threads": 5}, 5)):
        made = choose(LoaderConfig(backend=backend, **config))  # type: ignore[arg-type]
        assert made._threads == threads  # type: ignore[attr-defined]
        made.close()


def test_without_compiled_modules_pillow_decodes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(libjpeg, "_compiled", None)
    with caplog.at_level(logging.INFO):
        choose(LoaderConfig(threads=1)).close()
    assert "decoding with Pillow, 1 threads" in caplog.text


def test_dali_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name.startswith("nvidia") else find(name))
    with pytest.raises(ConfigError, match="pip install 'tagmill\\[dali\\]'"):
        choose(LoaderConfig(backend="dali"))


@NEEDS_DALI
def test_on_a_gpu_the_rule_decides_unless_a_backend_is_configured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tagmill.pipeline.decode import dali

    monkeypatch.setattr(dali.DaliBackend, "failure", lambda self: "")
    monkeypatch.setattr(cpu_affinity, "quota_cores", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(14)))
    for backend, mean_bytes, kind, words in (
        ("auto", 33_000, CpuBackend, ": 14 cores (40% of them) and images of 33 kB"),
        ("auto", 98_000, dali.DaliBackend, "DALI on cuda:0, 14 threads: 14 cores"),
        ("auto", 307_000, InTurn, "DALI on cuda:0 (7 of 8 batches, 8 threads) and on the CPU: 14 cores"),
        ("cpu", 307_000, CpuBackend, "14 threads"),
        ("dali", 33_000, dali.DaliBackend, "DALI on cuda:0, 14 threads"),
        ("both", 33_000, InTurn, "4 of 8 batches"),
    ):
        caplog.clear()
        with caplog.at_level(logging.INFO, "tagmill.pipeline.decode.backend"):
            made = choose(LoaderConfig(device="cuda:0", backend=backend), Pictures(mean_bytes))  # type: ignore[arg-type]
        made.close()
        assert isinstance(made, kind) and words in caplog.text, (backend, mean_bytes, caplog.text)
        assert backend == "auto" or "a GPU uses at most" not in caplog.text


def test_both_know_of_a_whole_division_ahead() -> None:
    """Else the one with few batches would begin each only when it is due."""
    many = LoaderConfig(threads=1).batch_size * 1000
    for config, least in (
        (LoaderConfig(threads=1), 1),
        (LoaderConfig(threads=1, backend="dali", device="cuda:0"), 1),
        (LoaderConfig(threads=1, backend="both"), DIVISION_PERIOD),
        (LoaderConfig(threads=1, device="cuda:0"), DIVISION_PERIOD),
    ):
        assert batches_ahead(config, many) == least


def test_batches_that_travel_to_a_gpu_are_made_in_page_locked_memory() -> None:
    """Without a GPU there is no such memory: who would allocate it is all that can be tested (test_dali_on_gpu.py)."""
    made = {device: choose(LoaderConfig(device=device, backend="cpu", threads=1)) for device in ("cpu", "cuda:0")}
    assert made["cpu"]._buffers._fresh is paged and made["cuda:0"]._buffers._fresh is page_locked  # type: ignore[attr-defined]
    for backend in made.values():
        backend.close()


@NEEDS_DALI
def test_a_gpu_that_dali_cannot_use_gives_a_warning_or_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tagmill.pipeline.decode import dali

    warn_once.cache_clear()
    monkeypatch.setattr(dali.DaliBackend, "failure", lambda self: "DALI cannot start on cuda:0: no kernel image")
    for _ in range(2):
        made = choose(LoaderConfig(device="cuda:0", threads=1), LARGE)
        assert isinstance(made, CpuBackend)
        made.close()
    assert caplog.text.count("decoding on the CPU, because DALI cannot start on cuda:0: no kernel image") == 1
    with pytest.raises(ConfigError, match="no kernel image"):
        choose(LoaderConfig(device="cuda:0", threads=1, backend="dali"))
    monkeypatch.setattr(dali.DaliBackend, "failure", lambda self: "")
    made = choose(LoaderConfig(device="cuda:0", threads=1, decoding=Decoding(depth=3)), LARGE)
    assert isinstance(made, dali.DaliBackend) and made.on_device and made._decoding.depth == 3


def test_normalising_includes_mixing(backend: Backend) -> None:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=draw)
    images = images.contiguous(memory_format=torch.channels_last)
    valid, mix = (
        torch.tensor([True, True, True, False]),
        Mix(torch.tensor([2, 1, 0, 3]), torch.tensor([0.3, 1, 0.8, 1])),
    )
    how = Normalisation(LoaderConfig.mean, LoaderConfig.std, torch.float32)
    made = backend.normalise(images, valid, how, mix)
    assert (made - normalise(images, valid, how, mix)).abs().max() <= 2e-6
    plain = normalise(images, valid, how)
    assert (made[0] - (0.3 * plain[0] + 0.7 * plain[2])).abs().max() <= 2e-6 and not made[3].any()
