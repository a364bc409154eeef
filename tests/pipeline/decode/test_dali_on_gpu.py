"""Tests that need a GPU. Skipped without one; docs/reference/gpu-measurements.md says which of them were ever run."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.pipeline.augment.draws import train_crops
from tagmill.pipeline.batch import Mix, Normalisation, normalise
from tagmill.pipeline.decode import compiled_normalise
from tagmill.pipeline.decode.backend import choose
from tagmill.pipeline.decode.choice.division import Division
from tagmill.pipeline.decode.in_turn import InTurn
from tagmill.pipeline.decoding import Decoding
from tests.pipeline.corpora import make_corpus, picture
from tests.pipeline.epochs import batches_left

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
dali = pytest.importorskip("tagmill.pipeline.decode.dali")

COUNT, WIDTH, HEIGHT, SIZE = 12, 320, 280, 112
PICTURES = [picture(number, WIDTH, HEIGHT) for number in range(COUNT)]
CROPS = train_crops(5, 0, np.arange(COUNT), np.full(COUNT, WIDTH, np.int32), np.full(COUNT, HEIGHT, np.int32))
TABLE = PICTURES[2].index(b"\xff\xc4") + 5
UNDECODABLE = PICTURES[2][:TABLE] + b"\xff" * 16 + PICTURES[2][TABLE + 16 :]
INSIDE, BORDER, MEAN = 4, 32, 2.5  # levels; a little more than between CPU backends: other inverse transforms


def marked(jpeg: bytes) -> bytes:
    """Returns an image with a restart marker every 2 MCUs."""
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, "JPEG", quality=90, restart_marker_blocks=2)
    return file.getvalue()


def apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.cpu().to(torch.int16) - other.cpu().to(torch.int16)).abs()


@pytest.mark.parametrize("window", ["region", "full"])
@pytest.mark.parametrize("load", [0.0, 0.65, 1.0])
@pytest.mark.parametrize("share", [True, False])
def test_pixels_equal_the_cpus(window: Any, load: float, share: bool) -> None:
    decoding = Decoding(window=window, hw_decoder_load=load, share_bytes=share)
    here, _ = dali.DaliBackend(2).decode(PICTURES, CROPS, SIZE)
    there, failed = dali.DaliBackend(2, "cuda:0", decoding).decode(PICTURES, CROPS, SIZE)
    assert there.device.type == "cuda" and there.is_contiguous(memory_format=torch.channels_last) and not failed.any()
    difference = apart(here, there)
    assert int(difference[:, :, 2:-2, 2:-2].max()) <= INSIDE and int(difference.max()) <= BORDER
    assert float(difference.float().mean()) <= MEAN


@pytest.mark.parametrize("load", [0.0, 0.65, 1.0])
def test_windows_cut_from_the_bytes_equal_the_cpus(load: float) -> None:
    """With images among them that have no markers, or are broken where the window needs them."""
    jpegs = [marked(jpeg) for jpeg in PICTURES]
    jpegs[1], jpegs[5] = PICTURES[1], jpegs[5][: len(jpegs[5]) // 3]
    decoding = Decoding(window="cut", hw_decoder_load=load)
    here, lost = dali.DaliBackend(2).decode(jpegs, CROPS, SIZE)
    there, failed = dali.DaliBackend(2, "cuda:0", decoding).decode(jpegs, CROPS, SIZE)
    assert failed.tolist() == lost.tolist() and failed[5] and failed.sum() == 1 and not there[5].any()
    difference = apart(here, there)
    assert int(difference[:, :, 2:-2, 2:-2].max()) <= INSIDE and int(difference.max()) <= BORDER
    assert float(difference.float().mean()) <= MEAN


@pytest.mark.parametrize("dali_share", [0.125, 0.5, 0.875])
def test_dali_and_the_cpu_make_their_own_batches(dali_share: float) -> None:
    """And each of them the same as alone, from page-locked memory or on the GPU."""
    decoding = Decoding(dali_share=dali_share)
    backends = [
        choose(LoaderConfig(device="cuda:0", backend=name, threads=4, decoding=decoding))
        for name in ("both", "dali", "cpu")
    ]
    both, alone, on_host = backends
    assert isinstance(both, InTurn)
    division = Division.of(dali_share)
    orders = [(PICTURES[number:] + PICTURES[:number], CROPS, SIZE) for number in range(10)]
    for number, order in enumerate(orders):

        def coming(ahead: int, number: int = number) -> Any:
            later = number + 1 + ahead
            return (later, *orders[later]) if later < len(orders) else None

        pixels, failed = both.decode_number(number, *order, None, coming)
        assert not failed.any() and pixels.is_cuda == division.is_dalis(number)
        if pixels.is_cuda:
            assert float(apart(pixels, alone.decode(*order)[0]).float().mean()) <= 0.1
        else:
            assert pixels.is_pinned() and torch.equal(pixels, on_host.decode(*order)[0])
    for backend in backends:
        backend.close()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_image_that_fails_is_one_hole_of_its_own_batch(depth: int) -> None:
    batches = [list(PICTURES), [*PICTURES[:3], UNDECODABLE, None, *PICTURES[5:]], list(PICTURES[::-1]), list(PICTURES)]
    right = [dali.DaliBackend(2, "cuda:0").decode(PICTURES[::step], CROPS, SIZE)[0] for step in (1, -1)]
    backend = dali.DaliBackend(2, "cuda:0", Decoding(depth=depth))
    found = []
    for number, jpegs in enumerate(batches):

        def coming(ahead: int, number: int = number) -> Any:
            return (batches[number + 1 + ahead], CROPS, SIZE) if number + 1 + ahead < len(batches) else None

        found.append(backend.decode(jpegs, CROPS, SIZE, None, coming))
    assert [np.flatnonzero(failed).tolist() for _, failed in found] == [[], [3], [], []]
    whole = [row for row in range(COUNT) if row not in (3, 4)]
    assert not found[1][0][3:5].any()
    for (pixels, _), wanted, rows in zip(found, (right[0], right[0], right[1], right[0]), ([*range(COUNT)], whole) * 2):
        assert float(apart(pixels[rows], wanted[rows]).float().mean()) <= MEAN


def test_uint8_batches_are_not_overwritten() -> None:
    backend = dali.DaliBackend(2, "cuda:0")
    kept = [backend.decode(PICTURES[i:] + PICTURES[:i], CROPS, SIZE)[0] for i in range(6)]
    copies = [each.clone() for each in kept]
    for _ in range(6):
        backend.decode(PICTURES[::-1], CROPS, SIZE)
    assert all(torch.equal(one, other) for one, other in zip(kept, copies, strict=True))


@pytest.mark.parametrize("mixes", [False, True])
def test_compiled_normalisation_equals_the_plain_one(mixes: bool) -> None:
    images = torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8, device="cuda").contiguous(
        memory_format=torch.channels_last
    )
    valid = torch.arange(16, device="cuda") != 5
    mix = Mix(torch.arange(16, device="cuda").flip(0), torch.rand(16, device="cuda")) if mixes else None
    how = Normalisation(LoaderConfig.mean, LoaderConfig.std, torch.bfloat16)
    ours = compiled_normalise.compiled_normalise(images, valid, how, mix).float()
    difference = (ours - normalise(images, valid, how, mix).float()).abs()
    assert float(difference.max()) <= 2**-6


@pytest.mark.parametrize(
    "more", [{}, {"randaugment": (2, 9), "jitter": (0.2, 0.2, 0.2, 0.05)}, {"mixup": 0.4}], ids=str
)
@pytest.mark.parametrize("output", ["uint8", "bfloat16"])
@pytest.mark.parametrize("backend", ["dali", "both", "cpu"])
def test_the_loader_gives_the_same_as_on_the_cpu(
    tmp_path: Path, more: dict[str, Any], output: Any, backend: Any
) -> None:
    """Read on a separate stream of the trainer, so that an incomplete batch would be detected."""
    made = make_corpus(tmp_path, [40, 24], picture_size=(120, 100), replace={7: UNDECODABLE})
    told = {"batch_size": 16, "streams": 4, "chunk": 4, "epochs": 2, "size": 64, "output": output, "threads": 2, **more}
    batches: dict[str, list[Batch]] = {}
    for device in ("cpu", "cuda"):
        config = LoaderConfig(**told, device=device, backend=backend)
        with Loader(made.url, config) as loader, torch.cuda.stream(torch.cuda.Stream()):
            batches[device] = [batch.to("cpu") for batch in batches_left(loader)]
    assert len(batches["cpu"]) == len(batches["cuda"]) == 8
    for here, there in zip(batches["cpu"], batches["cuda"], strict=True):
        assert torch.equal(here.positions, there.positions) and torch.equal(here.valid, there.valid)
        assert torch.equal(here.labels.ids, there.labels.ids) and torch.equal(here.labels.offsets, there.labels.offsets)
        limit = 0.1 if output == "bfloat16" else 5.0
        if not more.get("randaugment"):  # equalising and posterising amplify a difference of one level
            assert float((here.images.float() - there.images.float()).abs().mean()) <= limit
