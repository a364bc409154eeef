"""Tests that the model of a run is found in its output, with the labels that it was trained on."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tagmill.shards import TagmillError
from tagmill.train import TrainConfig
from tagmill.training.checkpoints.checkpoint import read
from tagmill.training.trained.run_folder import is_run, read_run
from tests.training.trained.runs import short_run


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return short_run(tmp_path_factory.mktemp("short"))


def test_a_run_and_each_checkpoint_have_weights_and_labels(config: TrainConfig) -> None:
    output = Path(config.output)
    assert is_run(output) and is_run(output / "checkpoint-2.pt") and not is_run(output.parent)
    newest, second = read_run(output), read_run(output, step="2")
    assert newest.digest != second.digest == read_run(output / "checkpoint-2.pt").digest
    for found in (newest, second):
        assert (found.network, found.network_args, found.loss) == ("test_vit", {"img_size": 32}, "softmax")
        assert found.transform is not None and found.transform.size == 32
        assert found.labels is not None and found.labels[3].name == "label3" and found.labels[3].words == ("lemma3",)
    wanted = read(output / "checkpoint.pt")["model"]
    assert all(torch.equal(value, wanted[name]) for name, value in newest.build().state_dict().items())


def test_what_is_not_there_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match="no checkpoint of step 3"):
        read_run(Path(config.output), step="3")
    with pytest.raises(TagmillError, match=r"no average.*--weights model"):
        read_run(Path(config.output), which="ema")
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\3\4")
    with pytest.raises(TagmillError, match="not a checkpoint"):
        read_run(tmp_path)


def test_labels_of_outputs_of_before_are_those_of_the_corpus(config: TrainConfig, tmp_path: Path) -> None:
    output = tmp_path / "old"
    shutil.copytree(config.output, output)
    (output / "vocabulary.json").unlink()
    found = read_run(output)
    assert found.labels is not None and found.labels == read_run(Path(config.output)).labels
    plan = json.loads((output / "plan.json").read_text())
    plan["config"]["corpus"] = str(tmp_path / "moved")
    (output / "plan.json").write_text(json.dumps(plan))
    assert read_run(output).labels is None
    (output / "plan.json").unlink()
    assert read_run(output).labels is None


def test_labels_of_another_view_are_not_taken(config: TrainConfig, tmp_path: Path) -> None:
    output = tmp_path / "other"
    shutil.copytree(config.output, output)
    vocabulary = json.loads((output / "vocabulary.json").read_text())
    vocabulary["labels"][0]["synsets"] = ["n99999999"]
    (output / "vocabulary.json").write_text(json.dumps(vocabulary))
    assert read_run(output).labels is None
