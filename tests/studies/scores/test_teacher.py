"""A teacher has outputs for its labels; what a model does not say is noted, and one without a last layer is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tagmill.shards import ConfigError, TagmillError
from tagmill.studies.scores.teacher import Teacher, TeacherSource, open_teacher
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.labels import ModelLabel
from tests.studies.scores.scored import LABELS, small_teacher
from tests.transfer.features.small_model import small_model


def opened(source: str, network: str | None = None) -> Teacher:
    return open_teacher(TeacherSource(source, network, "cpu"))


def test_an_exported_model_and_its_bare_weights_are_the_same_network(tmp_path: Path) -> None:
    teacher = opened(small_teacher(tmp_path, loss="sigmoid"))
    assert (teacher.labels, teacher.loss, teacher.notes, teacher.backbone.outputs) == (LABELS, "sigmoid", (), "logits")
    weights = small_model("test_efficientnet", 32, num_classes=7).weights
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "bare.safetensors")
    bare = opened(f"{tmp_path}/bare.safetensors", "test_efficientnet")
    assert bare.labels == tuple(ModelLabel(str(number)) for number in range(7)) and bare.loss == "softmax"
    assert ["names no labels" in bare.notes[0], "does not say its loss" in bare.notes[1]] == [True, True]
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(teacher.backbone.of(images), bare.backbone.of(images))
    assert teacher.facts["digest"] != bare.facts["digest"]  # the labels are part of it


def test_facts_do_not_depend_on_where_the_model_is(tmp_path: Path) -> None:
    one, other = (opened(small_teacher(tmp_path / name)) for name in ("one", "other"))
    assert one.facts == other.facts and one.facts["name"].startswith("test_efficientnet ")
    assert opened(small_teacher(tmp_path / "third", seed=5)).facts["digest"] != one.facts["digest"]


def test_a_model_without_a_last_layer_is_refused(tmp_path: Path) -> None:
    write_folder(small_model("test_efficientnet", 32, num_classes=0), str(tmp_path))
    with pytest.raises(ConfigError, match=r"a teacher without a last layer.*trained with labels"):
        opened(str(tmp_path))


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        opened(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="timm has no pretrained weights"):
        opened("timm:no_such_network")
    broken = replace(small_model("test_efficientnet", 32, num_classes=7), labels=LABELS)
    name = next(name for name, value in broken.weights.items() if value.is_floating_point())
    broken.weights[name].view(-1)[0] = torch.nan
    write_folder(broken, str(tmp_path / "broken"))
    with pytest.raises(TagmillError, match="not finite"):
        opened(str(tmp_path / "broken"))
