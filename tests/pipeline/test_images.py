"""Tests that images outside a corpus are decoded as those of an evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Crops, ImageDecoder, Loader, LoaderConfig, eval_crops, whole_images
from tagmill.shards.arrays import Int32s
from tests.pipeline.corpora import make_corpus, picture


def test_pixels_are_those_of_the_evaluation(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [8], picture_size=(90, 70))
    with (
        Loader(made.url, LoaderConfig(augment="eval", size=32, batch_size=8, backend="cpu", epochs=1)) as loader,
        ImageDecoder(32, threads=1) as decoder,
    ):
        (wanted,) = loader
        order = [made.number_of(bytes(key)) for key in wanted.keys]
        found = decoder.decode([made.jpegs[number] for number in order])
    assert torch.equal(found.images, wanted.images) and found.valid.all()


def test_what_is_no_image_is_marked_and_disturbs_no_other() -> None:
    good = picture(1)
    with ImageDecoder(16, threads=2) as decoder:
        alone = decoder.decode([good]).images[0]
        batch = decoder.decode([good[:-2], None, good, b"", good[:200]])
    assert batch.valid.tolist() == [False, False, True, False, False] and batch.filled == 1
    assert torch.equal(batch.images[2], alone) and not batch.images[[0, 1, 3, 4]].any()


def test_a_squeezed_image_becomes_a_square_whole() -> None:
    wide = picture(3, 90, 40)
    with ImageDecoder(16, 1.0, threads=1, squeezed=True) as squeezed, ImageDecoder(16, 1.0, threads=1) as centred:
        found = squeezed.decode([wide]).images
        assert torch.equal(found, centred.decode([wide], whole_images).images)
        assert not torch.equal(found, centred.decode([wide]).images)


@given(st.binary(max_size=400), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_a_batch(noise: bytes, at: int) -> None:
    good = picture(2)
    with ImageDecoder(8, threads=1) as decoder:
        batch = decoder.decode([noise, good[:at] + noise + good[at:]])
    assert len(batch) == 2 and not batch.images[~batch.valid].any()


@pytest.mark.parametrize(("share", "side"), [(224 / 256, 88), (1.0, 100), (0.5, 50)])
def test_the_crop_is_a_share_of_the_short_side(share: float, side: int) -> None:
    crops = eval_crops(np.array([160], np.int32), np.array([100], np.int32), 32, share)
    exact = 100 * 32 / round(32 / share)
    assert crops.width[0] == crops.height[0] == round(exact) and abs(side - exact) <= 2
    assert crops.x[0] == (160 - crops.width[0]) // 2


def test_windows_and_labels_of_the_caller_are_those_of_the_batch() -> None:
    good, asked = picture(3), []

    def windows(widths: Int32s, heights: Int32s) -> Crops:
        asked.append((widths.tolist(), heights.tolist()))
        return replace(whole_images(widths, heights), flip=np.array([False, True, False]))

    labels = [np.array([4], np.int32), np.array([1, 2], np.int32), np.array([3], np.int32)]
    with ImageDecoder(16, threads=1) as decoder:
        batch = decoder.decode([good, good, b"no image"], windows, labels)
    assert asked[0][0][:2] != [1, 1] and asked[0][0][2] == asked[0][1][2] == 1
    assert torch.equal(batch.images[0], batch.images[1].flip(2)) and not torch.equal(*batch.images[:2])
    assert [batch.labels[row].tolist() for row in range(3)] == [[4], [1, 2], []]
