"""Tests the images of a set as batches."""

import io
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline import Batch, whole_images
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.recipe import recipe_of
from tagmill.transfer.finetune.set_images import (
    SetImages,
    count_reasons,
    eval_windows,
    mixed_by_one_share,
    train_batch,
    typical_size,
)
from tagmill.transfer.finetune.set_order import Turns
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tests.transfer.drawn_set import drawn_from, drawn_set

BIT = recipe_of(FineTuneOptions(size=32), "resnet50", 100, 48, 48)


def turns(*places: int, passes: int = 0) -> Turns:
    return Turns(np.array(places), np.full(len(places), passes))


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    body = io.BytesIO()
    Image.fromarray(pixels).save(body, kind)
    return body.getvalue()


def test_images_of_any_format_are_decoded_and_others_counted() -> None:
    grey = np.full((20, 30, 3), 90, np.uint8)
    images = [encoded(grey, "PNG"), None, b"no image", encoded(grey, "WEBP"), encoded(grey, "JPEG")]
    examples = [Example(str(number), (number % 2,)) for number in range(5)]
    made = drawn_from(images, examples, [SetClass("a"), SetClass("b")])
    with SetImages(made, 8, threads=1) as opened:
        for _ in range(2):  # read, and then kept
            found = opened.batch([0, 1, 2, 3, 4], whole_images)
            assert found.batch.valid.tolist() == [True, False, False, True, True]
            assert [bool(reason) for reason in found.reasons] == [False, True, True, False, False]
            assert [found.batch.labels[row].tolist() for row in range(5)] == [[0], [], [], [1], [0]]
            assert (found.batch.images[[0, 3, 4]].int() - 90).abs().max() <= 2
    counted = Counter[str]()
    count_reasons(counted, found, [True, True, False, True, True])
    assert counted == {"missing": 1}
    assert typical_size(made) == (20, 30)
    assert typical_size(drawn_set(2, 2, undecodable=range(4))) == (1, 1)


def test_an_image_of_a_pass_is_the_same_in_any_batch_and_another_in_the_next_pass() -> None:
    made = drawn_set(3, 4, side=64)
    with SetImages(made, 32, threads=1) as images:
        together = train_batch(images, turns(3, 5, 7), BIT, 0, 2).batch
        alone = train_batch(images, turns(5), BIT, 0, 9).batch
        later = [train_batch(images, turns(5, passes=number), BIT, 0, 2).batch.images for number in range(1, 4)]
    assert torch.equal(together.images[1], alone.images[0])
    assert any(not torch.equal(each[0], alone.images[0]) for each in later)


def test_without_crop_and_flip_training_images_are_those_of_the_test() -> None:
    made = drawn_set(3, 4, side=64)
    for options in (FineTuneOptions(size=32), FineTuneOptions(size=32, recipe="swag")):
        recipe = replace(recipe_of(options, "resnet50", 100, 48, 48), cropped=False, flipped=False)
        with SetImages(made, 32, threads=1) as images:
            trained = train_batch(images, turns(*range(12)), recipe, 0, 0).batch.images
            assert torch.equal(trained, images.batch(range(12), partial(eval_windows, recipe)).batch.images)


def mixing(valid: list[bool], alpha: float, seed: int) -> tuple[Batch, Batch]:
    number = len(valid)
    labels = [np.array([row] if ok else [], np.int32) for row, ok in enumerate(valid)]
    images = torch.arange(number, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    keys, positions = np.zeros((number, 16), np.uint8), np.arange(number)
    plain = Batch.of(images, labels, np.array(valid), number, keys, positions)
    return plain, mixed_by_one_share(plain, alpha, seed, 4)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(0.05, 3), st.integers(0, 2**40))
@settings(deadline=None)
def test_mixup_has_one_share_and_gives_labels_the_shares_of_their_images(
    valid: list[bool], alpha: float, seed: int
) -> None:
    plain, mixed = mixing(valid, alpha, seed)
    assert mixed.mix is not None and len(set(mixed.mix.shares.tolist())) == 1
    assert sorted(mixed.mix.partners.tolist()) == list(range(len(valid)))
    floats = mixed.normalised("float32", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).images[:, 0, 0, 0]
    target = torch.zeros(len(valid))
    rows, ids, weights = mixed.terms()
    target.index_add_(0, rows, weights * ids)  # the labels are the pixels of the images
    assert torch.allclose(target, floats, atol=1e-4)
    assert mixed.mix.partners[~plain.valid].tolist() == plain.positions[~plain.valid].tolist()


def test_mixup_is_a_function_of_seed_and_step() -> None:
    one, two = (mixing([True] * 9, 0.1, 3)[1].mix for _ in range(2))
    assert one is not None and two is not None and all(map(torch.equal, one, two))
    shares = [mix.shares[0].item() for seed in range(400) if (mix := mixing([True], 0.1, seed)[1].mix) is not None]
    # of Beta(0.1, 0.1): mean 1/2, variance 5/24; within 5 deviations of the mean of 400
    assert abs(np.mean(shares) - 0.5) < 5 * (5 / 24 / 400) ** 0.5
