"""Tests that a model is found by each of its names."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tagmill.shards import TagmillError
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.source import read_trained
from tests.training.trained.models import trained
from tests.training.trained.runs import short_run


def test_each_kind_of_source_is_read(tmp_path: Path) -> None:
    one = trained("test_vit", img_size=32)
    write_folder(one, str(tmp_path / "folder"))
    for name in (f"{tmp_path}/folder", f"{tmp_path}/folder/", f"{tmp_path}/folder/model.safetensors"):
        found = read_trained(name)
        assert found.digest == one.digest and found.labels == one.labels, name
    save_file({"a": torch.ones(2)}, tmp_path / "folder/other.safetensors")
    plain = read_trained(f"{tmp_path}/folder/other.safetensors")
    assert list(plain.weights) == ["a"] and plain.labels is None and plain.network is None
    config = short_run(tmp_path)
    run, exported = read_trained(config.output), read_trained(f"{config.output}/model")
    assert run.digest == read_trained(f"{config.output}/checkpoints/4").digest == exported.digest


@pytest.mark.parametrize(
    "name", ["nowhere", "nowhere.safetensors", "memory://nowhere", "timm:nowhere", "{tmp}", "https://"]
)
def test_what_is_no_model_is_one_line_with_what_to_give(name: str, tmp_path: Path) -> None:
    with pytest.raises(TagmillError) as caught:
        read_trained(name.replace("{tmp}", str(tmp_path)))
    assert "give" in str(caught.value) or "similar names" in str(caught.value)
