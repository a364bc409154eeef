"""Tests that outputs are the network's own, and that images without outputs are counted."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tagmill.pipeline import ImageDecoder
from tagmill.shards import ConfigError
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.zero_shot import logits
from tagmill.transfer.zero_shot.logits import LabelModel
from tests.training.trained.models import trained
from tests.transfer.drawn_set import drawn_set

ONE = trained("test_vit", 32)


def test_outputs_are_the_networks_on_decoded_images() -> None:
    images = drawn_set(2, 3)
    model = LabelModel(ONE, threads=1)
    with ImageDecoder(32, threads=1) as decoder:
        found = model.table(images, [4, 1], Counter())
        assert ONE.transform is not None
        batch = decoder.decode([images.images[4], images.images[1]])
        pixels = batch.normalised("float32", ONE.transform.mean, ONE.transform.std).images
        with torch.inference_mode():
            wanted = ONE.build()(pixels).numpy()
    assert found.places.tolist() == [4, 1]
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


def test_images_without_outputs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits, "BLOCK", 4)
    images, skipped = drawn_set(2, 5, undecodable=[1, 2], missing=[7]), Counter[str]()
    model = LabelModel(ONE, threads=1)
    blocks = list(model.blocks(images, range(10), skipped))
    assert [block.places.tolist() for block in blocks] == [[0, 3], [4, 5, 6], [8, 9]]
    assert sum(skipped.values()) == 3 and skipped["missing"] == 1


def test_outputs_that_are_not_finite_are_counted() -> None:
    broken = replace(ONE, weights={name: torch.full_like(value, 3e38) for name, value in ONE.weights.items()})
    skipped = Counter[str]()
    model = LabelModel(broken, threads=1)
    assert model.table(drawn_set(1, 3), [0, 1, 2], skipped).values.shape == (0, 4)
    assert +skipped == {"not_finite": 3}


def test_models_without_labels_and_of_other_outputs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="does not name its labels"):
        LabelModel(replace(ONE, labels=None), threads=1)
    monkeypatch.setattr(
        logits, "open_backbone", lambda *known, **named: replace(open_backbone(*known, **named), width=3)
    )
    with pytest.raises(ConfigError, match="3 outputs for 4 labels"):
        LabelModel(ONE, threads=1)
