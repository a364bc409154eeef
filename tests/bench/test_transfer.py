"""Tests that the programs that are compared compute the same features of the same images, and that each has its figure."""

from pathlib import Path

import numpy as np
import torch

from tagmill.bench.transfer import (
    US,
    cases,
    class_folders,
    decoded_images,
    plain_features,
    untrained,
    validation_loader,
)
from tagmill.transfer.features.extract import extract
from tests.transfer.drawn_set import drawn_set


def test_every_case_computes_the_features_of_all_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "folders").mkdir()
    for place, image in enumerate(drawn_set(2, 5, side=64).images):
        (tmp_path / "images" / f"{place}.jpg").write_bytes(image or b"")
    labelled_set = class_folders(sorted((tmp_path / "images").iterdir()), tmp_path / "folders")
    backbone = untrained("test_resnet", 32)
    ours = extract(backbone, labelled_set).values
    decoded = decoded_images(backbone, labelled_set, 4)
    assert [len(each) for each in decoded] == [4, 4, 2]
    for where in (torch.contiguous_format, torch.channels_last):
        np.testing.assert_allclose(plain_features(backbone.network, decoded, where), ours, atol=1e-5, rtol=1e-4)
    loaded = [images for images, _ in validation_loader(backbone, tmp_path / "folders", 4, 0)]
    theirs = plain_features(backbone.network, loaded, torch.contiguous_format).numpy()
    assert theirs.shape == ours.shape and np.corrcoef(theirs.ravel(), ours.ravel())[0, 1] > 0.9
    rates = {name: case() for name, case in cases(labelled_set, tmp_path / "folders", backbone, 4).items()}
    assert US in rates and len(rates) == 5 and min(rates.values()) > 0
