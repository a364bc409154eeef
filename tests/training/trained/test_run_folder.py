"""Tests that the model of a run is found in its output, with the labels that it was trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.shards import TagmillError
from tagmill.train import TrainConfig
from tagmill.training.checkpoints.weights import find_checkpoint
from tagmill.training.trained.run_folder import is_run, read_run
from tests.training.runs import weights_in
from tests.training.trained.runs import short_run


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    return short_run(tmp_path_factory.mktemp("short"))


def single_file(config: TrainConfig, folder: Path, **changes: Any) -> Path:
    """Writes the newest checkpoint of a run as earlier versions did, beside its plan."""
    _, done = find_checkpoint(config.output)
    folder.mkdir()
    shutil.copy(Path(config.output, "plan.json"), folder)
    content = {"identity": {**done.identity, **changes}, "model": weights_in(config.output), "step": done.step}
    torch.save(content, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def test_a_run_and_each_checkpoint_have_weights_and_labels(config: TrainConfig) -> None:
    output = config.output
    assert is_run(output) and is_run(f"{output}/checkpoints/4") and not is_run(str(Path(output).parent))
    newest, first = read_run(output), read_run(output, step="2")
    assert read_run(output, step="best").digest == newest.digest  # it was judged at the end
    assert newest.digest != first.digest == read_run(f"{output}/checkpoints/2").digest
    for found in (newest, first):
        assert (found.network, found.network_args, found.loss) == ("test_vit", {"img_size": 32}, "softmax")
        assert found.transform is not None and found.transform.size == 32
        assert found.labels is not None and found.labels[3].name == "label3" and found.labels[3].words == ("lemma3",)
    wanted = weights_in(output)
    assert all(torch.equal(value, wanted[name]) for name, value in newest.build().state_dict().items())


def test_what_is_not_there_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match="no checkpoint of step 3"):
        read_run(config.output, step="3")
    with pytest.raises(TagmillError, match=r"no average.*--weights model"):
        read_run(config.output, which="ema")
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\3\4")
    with pytest.raises(TagmillError, match="not a checkpoint"):
        read_run(str(tmp_path))


def test_a_file_of_before_has_the_labels_of_its_corpus(config: TrainConfig, tmp_path: Path) -> None:
    file = single_file(config, tmp_path / "old")
    found, newest = read_run(str(file.parent)), read_run(config.output)
    assert found.digest == read_run(str(file)).digest == newest.digest and found.labels == newest.labels
    plan = json.loads((file.parent / "plan.json").read_text())
    plan["config"]["corpus"] = str(tmp_path / "moved")
    (file.parent / "plan.json").write_text(json.dumps(plan))
    assert read_run(str(file)).labels is None
    (file.parent / "plan.json").unlink()
    assert read_run(str(file)).labels is None


def test_labels_of_another_view_are_not_taken(config: TrainConfig, tmp_path: Path) -> None:
    assert read_run(str(single_file(config, tmp_path / "other", vocabulary="0" * 64))).labels is None
