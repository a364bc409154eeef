"""Tests the images of a set as batches."""

import io
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tagmill.pipeline import LoaderConfig, World, whole_images
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.recipe import recipe_of
from tagmill.transfer.finetune.set_images import (
    SetBatch,
    SetImages,
    count_reasons,
    eval_windows,
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


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_processes_together_have_the_images_of_one(ranks: int, mixup: float) -> None:
    made = drawn_set(3, 5, undecodable=[2, 3, 8, 9, 10, 14], missing=[0])
    recipe, some, how = replace(BIT, mixup=mixup), turns(*range(14)), (LoaderConfig.mean, LoaderConfig.std)
    with SetImages(made, 32, threads=1) as images:
        whole = train_batch(images, some, recipe, 0, 5)
        mixed, reasons = whole.batch.normalised("float32", *how).images, [""] * 14
        terms = dense(whole)
        for rank in range(ranks):
            part = train_batch(images, some, recipe, 0, 5, World(rank, ranks))
            slots = list(range(rank, 14, ranks))
            assert part.own == len(slots) and (len(part.batch) > part.own) == (mixup > 0)
            assert torch.equal(part.batch.normalised("float32", *how).images[: part.own], mixed[slots])
            assert torch.equal(dense(part)[: part.own], terms[slots])
            reasons[rank::ranks] = part.reasons
    assert reasons == whole.reasons and sum(map(bool, reasons)) == 6


def dense(found: SetBatch) -> torch.Tensor:
    """The target of each image, [b, 3]."""
    rows, ids, weights = found.batch.terms()
    return torch.zeros(len(found.batch), 3).index_put_((rows, ids), weights, accumulate=True)


def test_without_crop_and_flip_training_images_are_those_of_the_test() -> None:
    made = drawn_set(3, 4, side=64)
    for options in (FineTuneOptions(size=32), FineTuneOptions(size=32, recipe="swag")):
        recipe = replace(recipe_of(options, "resnet50", 100, 48, 48), cropped=False, flipped=False)
        with SetImages(made, 32, threads=1) as images:
            trained = train_batch(images, turns(*range(12)), recipe, 0, 0).batch.images
            assert torch.equal(trained, images.batch(range(12), partial(eval_windows, recipe)).batch.images)
