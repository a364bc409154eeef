"""Tests that a run leaves its model as a folder that timm loads."""

from pathlib import Path

import pytest
import timm
import torch

from tagmill.training.trained.source import read_trained
from tests.training.runs import weights_in
from tests.training.trained.runs import short_run


def test_a_run_ends_with_its_model_and_says_how_to_use_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = short_run(tmp_path, loss="sigmoid", evaluation_size=48, model="test_resnet", model_args={})
    folder = f"{config.output}/model"
    assert capsys.readouterr().out.splitlines()[-1] == f"model      {folder}: tagmill predict {folder} IMAGE"
    model, saved = timm.create_model(f"local-dir:{folder}", pretrained=True), weights_in(config.output)
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert list(model.pretrained_cfg["input_size"]) == [3, 48, 48]
    assert model.pretrained_cfg["label_names"] == [f"label{number}" for number in range(7)]


def test_the_average_of_the_weights_is_the_model_where_there_is_one(tmp_path: Path) -> None:
    config = short_run(tmp_path, ema=100)
    found, average, last = (
        read_trained(source, which)
        for source, which in ((f"{config.output}/model", "auto"), (config.output, "ema"), (config.output, "model"))
    )
    assert found.digest == average.digest == read_trained(config.output).digest != last.digest
