"""Tests jitter, RandAugment and mixup of batches against torchvision's functions for one image with the same draws."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as torchvision
from torchvision.transforms.v2 import functional as one_picture

from tagmill.pipeline import LoaderConfig
from tagmill.pipeline.augment.apply import OPERATIONS, SIGNED, apply_augmentations, operate
from tagmill.pipeline.augment.draws import jitters, operations
from tagmill.pipeline.batch import PADDING, Batch

THEIRS = (
    "Identity ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness"
    " Posterize Solarize AutoContrast Equalize"
)
PLACES, SIZE = 70, 20
POSITIONS = np.append(np.arange(PLACES - 2) * 7 + 2**33, [PADDING, PADDING]).astype(np.int64)
VALID = np.isin(np.arange(PLACES), [4, 31, PLACES - 2, PLACES - 1], invert=True)


def batch_of(valid: np.ndarray[Any, Any] = VALID, seed: int = 0) -> Batch:
    draw = np.random.default_rng(seed)
    small = torch.from_numpy(draw.integers(0, 256, (PLACES, 3, 5, 5), np.uint8))
    pixels = torch.nn.functional.interpolate(small.float(), (SIZE, SIZE), mode="bilinear").to(torch.uint8)
    pixels[~torch.from_numpy(valid)] = 0
    labels = [np.arange(row % 4, dtype=np.int32) if valid[row] else np.empty(0, np.int32) for row in range(PLACES)]
    keys = np.zeros((PLACES, 16), np.uint8)
    images = pixels.contiguous(memory_format=torch.channels_last)
    return Batch.of(images, labels, valid, PLACES - 2, keys, POSITIONS)


def in_two(rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
    """Calls `work` in two threads at the same time, as a backend divides rows."""
    even = np.arange(len(rows)) % 2 == 0
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [rows & even, rows & ~even]))


def altered(config: LoaderConfig, epoch: int = 3, rows: Any = slice(None)) -> Batch:
    whole = batch_of()
    images = whole.images[rows].clone(memory_format=torch.channels_last)
    labels = [whole.labels[row].numpy().astype(np.int32) for row in np.arange(PLACES)[rows]]
    part = Batch.of(images, labels, VALID[rows], len(images), whole.keys[rows], POSITIONS[rows])
    return apply_augmentations(part, config, epoch, POSITIONS[rows], VALID[rows], in_two)


def apply(picture: torch.Tensor, number: int, magnitude: int, sign: int) -> torch.Tensor:
    """torchvision's own RandAugment with given draws."""
    name, space = THEIRS.split()[number], torchvision.RandAugment._AUGMENTATION_SPACE
    table = space[name][0](31, *picture.shape[-2:])
    strength = 0.0 if table is None else sign * float(table[magnitude])
    method = torchvision.RandAugment()._apply_image_or_video_transform
    return method(picture, name, strength, InterpolationMode.NEAREST, {torch.Tensor: None})


def near(made: torch.Tensor, wanted: torch.Tensor, levels: int = 1, share: float = 0.1) -> None:
    off = (made.to(torch.int16) - wanted.to(torch.int16)).abs()
    assert off.max() <= levels and (off > 0).float().mean() <= share


@pytest.mark.parametrize("number", range(len(OPERATIONS)), ids=OPERATIONS)
@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_each_operation_equals_torchvision(number: int, magnitude: int) -> None:
    images = batch_of().images[:6]
    for sign in (1, -1) if number in SIGNED else (1,):
        made = operate(images, number, magnitude, sign)
        wanted = torch.stack([apply(image, number, magnitude, sign) for image in images])
        near(made, wanted)
        if number in (1, 2, 3, 4, 5):  # pixels are moved, not changed
            assert torch.equal(made, wanted)


def test_the_signs_equal_torchvision() -> None:
    space = torchvision.RandAugment._AUGMENTATION_SPACE
    assert THEIRS.split() == list(space)
    assert [number for number, (_, signed) in enumerate(space.values()) if signed] == list(SIGNED)


def test_randaugment_applies_its_operations_in_sequence() -> None:
    config = LoaderConfig(randaugment=(3, 11), seed=8)
    source, made = batch_of().images, altered(config).images
    chosen, negated = operations(8, 3, POSITIONS, 3)
    for row in range(PLACES):
        wanted = source[row]
        for number, minus in zip(chosen[:, row], negated[:, row], strict=True):
            wanted = operate(wanted[None], number, 11, -1 if minus else 1)[0]
        assert torch.equal(made[row], wanted if VALID[row] else torch.zeros_like(wanted))


def test_jitter_applies_torchvisions_adjustments_in_the_drawn_order() -> None:
    config = LoaderConfig(jitter=(0.4, 0.3, 0.6, 0.2), seed=8)
    source, made = batch_of().images, altered(config).images
    factors, order = jitters(8, 3, POSITIONS, config.jitter)
    adjust = [getattr(one_picture, f"adjust_{name}") for name in ("brightness", "contrast", "saturation", "hue")]
    for row in np.flatnonzero(VALID):
        wanted = source[row]
        for number in order[:, row]:
            wanted = adjust[number](wanted, float(factors[number, row]))
        near(made[row], wanted, levels=4, share=0.5)  # later operations amplify an early difference of one level
    assert not made[~torch.from_numpy(VALID)].any()
    assert (made != source).any((1, 2, 3))[torch.from_numpy(VALID)].all()


@pytest.mark.parametrize("only", range(4))
def test_an_adjustment_of_strength_zero_is_skipped(only: int) -> None:
    strengths = tuple(0.3 if number == only else 0.0 for number in range(4))
    made = altered(LoaderConfig(jitter=strengths, seed=1)).images  # type: ignore[arg-type]  # four of them
    factors, _ = jitters(1, 3, POSITIONS, strengths)  # type: ignore[arg-type]
    adjust = getattr(one_picture, f"adjust_{('brightness', 'contrast', 'saturation', 'hue')[only]}")
    for row in np.flatnonzero(VALID):
        near(made[row], adjust(batch_of().images[row], float(factors[only, row])))


@pytest.mark.parametrize("options", [{"randaugment": (2, 9)}, {"jitter": (0.4, 0.4, 0.4, 0.1)}])
def test_an_image_is_the_same_in_any_batch(options: dict[str, Any]) -> None:
    """Hence on any rank of any world, and after any resume."""
    config = LoaderConfig(**options, seed=5)
    whole = altered(config).images
    for rows in (slice(0, 9), slice(1, None, 2), slice(50, 51)):
        assert torch.equal(altered(config, rows=rows).images, whole[rows])
    assert not torch.equal(altered(config, epoch=4).images, whole)
    assert not torch.equal(altered(replace(config, seed=6)).images, whole)


def test_images_of_a_mixture_use_their_own_epochs() -> None:
    config, epochs = LoaderConfig(randaugment=(2, 9), seed=5), np.arange(PLACES) % 3
    made = apply_augmentations(batch_of(), config, epochs, POSITIONS, VALID, in_two).images
    for epoch in range(3):
        assert torch.equal(made[epoch::3], altered(config, epoch).images[epoch::3])


def test_without_options_nothing_changes() -> None:
    batch = batch_of()
    before = batch.images.clone()
    assert apply_augmentations(batch, LoaderConfig(), 0, POSITIONS, VALID, in_two) is batch
    assert torch.equal(batch.images, before)


def test_images_stay_channels_last() -> None:
    made = altered(LoaderConfig(randaugment=(2, 20), jitter=(0.4, 0.4, 0.4, 0.1)))
    assert made.images.is_contiguous(memory_format=torch.channels_last) and made.images.dtype == torch.uint8


def test_mixed_images_match_their_targets() -> None:
    config = LoaderConfig(mixup=0.4, seed=3)
    batch = altered(config)
    assert batch.mix is not None
    partners, shares = batch.mix.partners, batch.mix.shares
    plain = batch_of().normalised("float32", config.mean, config.std)
    dense = torch.zeros(PLACES, 4)
    own = plain.labels.terms()
    dense.index_put_((own.rows, own.ids), own.weights, accumulate=True)
    images = plain.images * shares.view(-1, 1, 1, 1) + plain.images[partners] * (1 - shares.view(-1, 1, 1, 1))
    targets = dense * shares.view(-1, 1) + dense[partners] * (1 - shares.view(-1, 1))
    assert torch.allclose(batch.normalised("float32", config.mean, config.std).images, images, atol=1e-6)
    terms = batch.terms()
    made = torch.zeros(PLACES, 4).index_put((terms.rows, terms.ids), terms.weights, accumulate=True)
    assert torch.allclose(made, targets, atol=1e-6)
    assert torch.equal(batch.images, batch_of().images)  # uint8 is not mixed before it is normalised
    valid = torch.from_numpy(VALID)
    assert (partners[~valid] == torch.arange(PLACES)[~valid]).all() and (shares[~valid] == 1).all()
    assert valid[partners[valid]].all() and (partners[valid] != torch.arange(PLACES)[valid]).all()
    assert sorted(partners.tolist()) == list(range(PLACES))


def test_a_single_image_is_not_mixed() -> None:
    batch = altered(LoaderConfig(mixup=0.4), rows=slice(9, 10))
    assert batch.mix is not None and batch.mix.partners.tolist() == [0] and batch.mix.shares.tolist() == [1.0]


def test_a_mix_moves_with_its_batch() -> None:
    moved = altered(LoaderConfig(mixup=0.4)).to("cpu")
    assert moved.mix is not None and len(moved.mix.partners) == PLACES
    assert batch_of().to("cpu").mix is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [{"randaugment": (2, 9)}, {"jitter": (0.4, 0.4, 0.4, 0.1)}, {"mixup": 0.3}])
def test_a_gpu_gives_the_same_result(options: dict[str, Any]) -> None:
    config = LoaderConfig(**options, seed=5)
    made = apply_augmentations(batch_of().to("cuda"), config, 3, POSITIONS, VALID, in_two).normalised(
        "float32", (0, 0, 0), (1, 1, 1)
    )
    wanted = altered(config).normalised("float32", (0, 0, 0), (1, 1, 1))
    off = (made.images.cpu() - wanted.images).abs()
    assert off.max() <= 4 and (off > 0.01).float().mean() < 0.02  # a level that one device rounds up and the other down
    assert all(torch.equal(one.cpu(), other) for one, other in zip(made.terms(), wanted.terms(), strict=True))
