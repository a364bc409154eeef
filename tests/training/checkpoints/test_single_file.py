"""Tests that files of earlier versions are read, and that no object in them is made."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import TagmillError
from tagmill.training.checkpoints.single_file import read_single_file
from tagmill.training.config.train import TrainConfig


def test_a_file_is_read(tmp_path: Path) -> None:
    torch.save({"identity": {"model": "vit"}, "model": {"w": torch.ones(2)}}, tmp_path / "checkpoint.pt")
    assert read_single_file(tmp_path / "checkpoint.pt")["identity"] == {"model": "vit"}


@pytest.mark.parametrize("content", [{}, {"identity": {}}, {"identity": TrainConfig(), "model": {}}, [1], None])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "checkpoint.pt"
    torch.save(content, file)
    with pytest.raises(TagmillError, match=r"not a checkpoint"):
        read_single_file(file)
    torch.save({"identity": {}, "model": {"w": torch.ones(999)}}, file)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(TagmillError, match=r"not a checkpoint, or a truncated one"):
        read_single_file(file)
    file.unlink()
    with pytest.raises(TagmillError, match="not a checkpoint"):
        read_single_file(file)
