"""Tests that timm loads an exported folder with the same logits, and that ours reads what it wrote."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageFilter
from timm.data import create_transform, resolve_data_config

from tagmill.pipeline import ImageDecoder, LoaderConfig
from tagmill.shards import ConfigError, TagmillError
from tagmill.training.trained.folder import CONFIG_FILE, crop_share, read_folder, write_folder
from tagmill.training.trained.model import Transform
from tests.pipeline.corpora import picture
from tests.training.trained.models import LABELS, trained

NETWORKS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "ViT": ("test_vit", 32, {"img_size": 32}),
    "ResNet": ("test_resnet", 48, {}),
    "BiT": ("resnetv2_50x1_bit", 64, {"channels": [128, 128, 128, 256]}),
    "ResNeXt": ("resnext26ts", 64, {}),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_timm_and_we_load_the_folder_with_the_same_logits(kind: str, tmp_path: Path) -> None:
    network, size, arguments = NETWORKS[kind]
    one = trained(network, size, **arguments)
    write_folder(one, str(tmp_path))
    images = torch.rand(2, 3, size, size)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    read = read_folder(str(tmp_path))
    with torch.inference_mode():
        wanted = one.build()(images)
        assert torch.equal(theirs(images), wanted) and torch.equal(read.build()(images), wanted)
    assert wanted.std() > 0
    assert theirs.pretrained_cfg["label_names"] == ["bear", "crane (n02012849)", "crane (n03126707)", "oak"]
    assert theirs.pretrained_cfg["label_descriptions"]["crane (n03126707)"] == "crane, derrick"
    assert (read.labels, read.loss, read.digest) == (LABELS, "softmax", one.digest)
    assert read.transform is not None and read.transform.mean == pytest.approx(LoaderConfig.mean, abs=1e-3)
    assert read.transform.size == size and read.transform.share == pytest.approx(224 / 256, abs=0.02)


@pytest.mark.parametrize(("width", "height"), [(300, 220), (220, 300), (256, 256)])
def test_timms_transform_gives_our_images(width: int, height: int, tmp_path: Path) -> None:
    """Up to the place of the crop, which is cut before the resize here and after it in timm: half a pixel."""
    write_folder(trained("test_resnet", 160), str(tmp_path))
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    transform = create_transform(**resolve_data_config({}, model=model))
    grainy = Image.open(io.BytesIO(picture(3, width, height)))
    grainy.filter(ImageFilter.GaussianBlur(2)).save(tmp_path / "smooth.jpg", quality=95, subsampling=0)
    jpeg = (tmp_path / "smooth.jpg").read_bytes()
    theirs = transform(Image.open(tmp_path / "smooth.jpg"))
    levels = list[float]()
    for share in (224 / 256, 0.92):
        with ImageDecoder(160, share, threads=1) as decoder:
            ours = decoder.decode([jpeg]).normalised("float32", LoaderConfig.mean, LoaderConfig.std).images[0]
        assert theirs.shape == ours.shape
        levels.append(float((theirs - ours).abs().mean() * 57))
    assert levels[0] < 2 < 4 < levels[1], "another crop would be seen"


@pytest.mark.parametrize("size", [*range(8, 70), 80, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 518])
def test_timm_resizes_to_the_same_short_side(size: int) -> None:
    for share in (224 / 256, 0.9, 0.95, 1.0):
        pct = json.loads(json.dumps(crop_share(Transform(size, share))))
        assert np.floor(size / pct) == round(size / share)


def test_a_folder_without_labels_has_numbers_only(tmp_path: Path) -> None:
    one = trained()
    write_folder(one, str(tmp_path))
    plain = replace(one, labels=None, network_args={"num_classes": len(LABELS)})
    write_folder(plain, str(tmp_path))
    read = read_folder(str(tmp_path))
    assert read.labels is None and not (tmp_path / "labels.json").exists()
    assert len(list(read.build().parameters())) > 0


def test_a_folder_of_another_program_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text('{"mine": 1}')
    with pytest.raises(ConfigError, match="not ours"):
        write_folder(trained(), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG_FILE]


def test_a_write_that_fails_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(trained(), str(tmp_path))

    def full(*given: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("tagmill.training.trained.folder.write_weights", full)
    with pytest.raises(OSError, match="no space"):
        write_folder(trained(), str(tmp_path))
    with pytest.raises(TagmillError, match="no such file"):
        read_folder(str(tmp_path))


def without(*names: str) -> Callable[[dict[str, Any]], object]:
    return lambda facts: [facts.pop(name) for name in names]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without("architecture"), "architecture"),
        (without("pretrained_cfg"), "pretrained_cfg"),
        (lambda facts: facts.update(model_args=3), "not the configuration"),
        (lambda facts: facts["pretrained_cfg"].update(mean=[0.1]), "mean"),
        (lambda facts: facts["pretrained_cfg"].update(std=[0, 0, 0]), "std"),
        (lambda facts: facts["pretrained_cfg"].update(input_size=[3, -1, -1]), "size"),
        (lambda facts: facts["pretrained_cfg"].update(input_size=[3, 99999, 99999]), "99999 pixels"),
        (lambda facts: facts["pretrained_cfg"].update(crop_pct=-1), "crop_pct"),
        (lambda facts: facts["pretrained_cfg"].update(crop_pct="much"), "much"),
    ],
)
def test_an_altered_configuration_is_refused(
    damage: Callable[[dict[str, Any]], object], says: str, tmp_path: Path
) -> None:
    write_folder(trained(), str(tmp_path))
    facts = json.loads((tmp_path / CONFIG_FILE).read_text())
    damage(facts)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(facts))
    with pytest.raises(TagmillError, match=says):
        read_folder(str(tmp_path))
