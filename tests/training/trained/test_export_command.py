"""Tests of `tagmill train export`."""

from pathlib import Path

import pytest
import timm

from tagmill.shards import ConfigError
from tagmill.training.trained.export_command import export_command
from tagmill.training.trained.source import read_trained
from tests.training.trained.runs import short_run


def test_any_checkpoint_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = short_run(tmp_path)
    capsys.readouterr()
    export_command([config.output, "--output", f"{tmp_path}/second", "--step", "2", "--weights", "model"])
    said = capsys.readouterr().out
    assert "checkpoints/2 (test_vit, 7 labels)" in said and f"tagmill predict {tmp_path}/second" in said
    assert read_trained(f"{tmp_path}/second").digest == read_trained(f"{config.output}/checkpoints/2").digest
    assert timm.create_model(f"local-dir:{tmp_path}/second", pretrained=True).num_classes == 7


def test_a_step_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="step = 'last'"):
        export_command([str(tmp_path), "--output", f"{tmp_path}/out", "--step", "last"])
