"""Tests that a run begins with the weights of a trained model, and that what does not fit is refused or said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

from tagmill.shards import ConfigError, TagmillError, Vocabulary
from tagmill.shards.vocabulary import Label
from tagmill.train import TrainConfig, train
from tagmill.training.model.build import build_model
from tagmill.training.trained.folder import read_folder, write_folder
from tagmill.training.trained.initial import Start, begin_from, initialise
from tagmill.training.trained.model import Trained
from tests.training.trained.models import LABELS, trained
from tests.training.trained.runs import short_run

# Of the four labels of LABELS: bear by its synset, oak by its name, and two new ones; the cranes are gone.
VOCABULARY = Vocabulary(
    (
        Label(0, "dog", ("n02084071",), ("dog",)),
        Label(1, "ursus", ("n02131653",), ("bear",)),
        Label(2, "OAK", ("n99999999",), ("oak",)),
        Label(3, "cat", ("n02121620",), ("cat",)),
        Label(4, "tree", ("n13104059",), ("tree",)),
    )
)
HEADS = {
    "ViT": ("test_vit", {"img_size": 32}, "head"),
    "ResNet": ("test_resnet", {}, "fc"),
    "BiT": ("resnetv2_50x1_bit", {"channels": [128, 128, 128, 256]}, "head.fc"),
}


def network(name: str, **arguments: Any) -> tuple[TrainConfig, nn.Module]:
    plain = {key: value for key, value in arguments.items() if not isinstance(value, list)}
    config = TrainConfig(model=name, model_args=plain)
    torch.manual_seed(1)
    object.__setattr__(config, "model_args", arguments)  # lists are no values of a recipe
    return config, build_model(config, len(VOCABULARY))


@pytest.mark.parametrize("kind", HEADS)
def test_the_trunk_is_taken_and_the_head_by_labels(kind: str) -> None:
    name, arguments, path = HEADS[kind]
    one = trained(name, **arguments)
    config, model = network(name, **arguments)
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    start = initialise(model, one, VOCABULARY, config)
    found = model.state_dict()
    for key, value in found.items():
        if not key.startswith(f"{path}."):
            assert torch.equal(value, one.weights[key]), key
            continue
        assert torch.equal(value[1], one.weights[key][0]) and torch.equal(value[2], one.weights[key][3])
        assert all(torch.equal(value[row], fresh[key][row]) for row in (0, 3, 4))
    assert start.digest == one.digest and not start.warnings
    assert any("carried 2 of 5 labels; 3 begin new" in line for line in start.lines)
    assert len(start.lines) == 2, "nothing is new or unused"


def test_names_of_wrappers_are_taken_off_and_types_converted() -> None:
    one = trained("test_resnet")
    wrapped = replace(one, weights={f"module._orig_mod.{name}": value.half() for name, value in one.weights.items()})
    config, model = network("test_resnet")
    initialise(model, wrapped, VOCABULARY, config)
    for name, value in model.state_dict().items():
        assert name.startswith("fc.") or torch.equal(value, one.weights[name].half().to(value.dtype))


@pytest.mark.parametrize(("here", "there"), [(32, 64), (64, 32), (48, 48)])
def test_position_embeddings_are_resized(here: int, there: int) -> None:
    one = trained("test_vit", img_size=there)
    smooth = {**one.weights, "pos_embed": torch.ones_like(one.weights["pos_embed"])}
    smooth["pos_embed"][:, 0] = 5  # the class token's
    config, model = network("test_vit", img_size=here)
    start = initialise(model, replace(one, weights=smooth), VOCABULARY, config)
    found = model.state_dict()["pos_embed"]
    assert found.shape[1] == 1 + (here // 16) ** 2
    assert found[:, 0].eq(5).all() and torch.allclose(found[:, 1:], torch.ones_like(found[:, 1:]))
    said = f"position embeddings resized from {there // 16} x {there // 16} to {here // 16} x {here // 16}"
    assert any(said in line for line in start.lines) == (here != there)


def test_another_network_is_refused_with_the_first_names() -> None:
    config, model = network("test_vit", img_size=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wide = trained("test_vit", img_size=32)
    wide = replace(wide, weights={**wide.weights, "norm.weight": torch.ones(3), "norm.bias": torch.ones(3)})
    odd = {**trained("test_vit", img_size=32).weights, "pos_embed": torch.ones(1, 8, 64)}
    for other, says in (
        (trained("test_resnet"), r"of another network: 100% of test_vit is not in them, cls_token, "),
        (wide, r"norm\.weight is \(3,\) there and \(64,\) here, norm\.bias"),
        (replace(wide, weights=odd), r"pos_embed is \(1, 8, 64\) there and \(1, 5, 64\) here"),
    ):
        with pytest.raises(ConfigError, match=says):
            initialise(model, other, VOCABULARY, config)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_few_tensors_more_or_less_are_said() -> None:
    one = trained("test_vit", img_size=32)
    weights = {name: value for name, value in one.weights.items() if name != "norm.bias"}
    config, model = network("test_vit", img_size=32)
    start = initialise(model, replace(one, weights={**weights, "extra.weight": torch.ones(2)}), VOCABULARY, config)
    assert "           begin new: norm.bias" in start.lines and "           not used: extra.weight" in start.lines
    assert model.state_dict()["norm.bias"].eq(0).all()


def warned(one: Trained, **options: Any) -> tuple[Start, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    config, model = network("test_resnet")
    config = replace(config, **options)
    fresh = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("fc.")}
    start = initialise(model, one, VOCABULARY, config)
    return start, fresh, model.state_dict()


def test_a_head_that_cannot_be_carried_begins_new_with_a_warning() -> None:
    one = trained("test_resnet")
    others = tuple(replace(label, name="x", synsets=("n0",)) for label in LABELS)
    for bad, why in (
        (replace(one, labels=None), "it names no labels"),
        (replace(one, labels=others), "no label of the view is among its own"),
        (replace(one, labels=LABELS[:3]), "its last layer is of another kind"),
        (replace(one, weights={**one.weights, "fc.weight": torch.ones(4, 7)}), "its last layer is of another kind"),
        (replace(one, weights={n: v for n, v in one.weights.items() if n != "fc.bias"}), "of another kind"),
    ):
        start, fresh, found = warned(bad)
        assert len(start.warnings) == 1 and start.warnings[0].endswith(why) and "memory" in start.warnings[0]
        assert all(torch.equal(found[name], fresh[name]) for name in fresh)
        assert any("carried 0 of 5 labels; 5 begin new" in line for line in start.lines)


def test_biases_of_another_loss_begin_new() -> None:
    one = trained("test_resnet")
    start, fresh, found = warned(one, loss="sigmoid")
    assert torch.equal(found["fc.bias"], fresh["fc.bias"]) and torch.equal(
        found["fc.weight"][1], one.weights["fc.weight"][0]
    )
    assert any("biases are of loss softmax" in line for line in start.lines)


def test_another_normalisation_is_warned_of() -> None:
    one = trained("test_resnet")
    assert one.transform is not None
    start, _, _ = warned(replace(one, transform=replace(one.transform, mean=(127.5,) * 3, std=(127.5,) * 3)))
    assert start.warnings == [
        "the source was trained with mean 0.500 0.500 0.500 and deviation 0.500 0.500 0.500; this run uses ImageNet's"
    ]


def test_a_dry_run_says_what_would_be_taken_without_memory() -> None:
    config = TrainConfig(model="test_resnet")
    with torch.device("meta"):
        model = build_model(config, len(VOCABULARY))
    start = initialise(model, trained("test_resnet"), VOCABULARY, config)
    assert any("carried 2 of 5 labels" in line for line in start.lines)
    assert all(value.is_meta for value in model.state_dict().values())


def test_without_a_source_nothing_happens() -> None:
    config, model = network("test_resnet")
    assert begin_from(config, model, VOCABULARY, Console(quiet=True)) == Start()


def test_infinite_weights_are_refused(tmp_path: Path) -> None:
    one = trained("test_resnet")
    write_folder(replace(one, weights={**one.weights, "fc.bias": torch.full((4,), float("inf"))}), str(tmp_path))
    config, model = network("test_resnet")
    with pytest.raises(TagmillError, match=r"not finite: fc\.bias"):
        begin_from(replace(config, init=str(tmp_path)), model, VOCABULARY, Console(quiet=True))


def test_a_run_continues_without_its_source_and_not_from_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a learning rate of almost nothing the weights at the end are those at the beginning."""
    first = short_run(tmp_path)
    source = str(tmp_path / "source")
    shutil.copytree(f"{first.output}/model", source)
    config = replace(first, output=str(tmp_path / "second"), lr=1e-30, init=source)
    capsys.readouterr()
    assert "carried 7 of 7 labels; 0 begin new" in " ".join(train(replace(config, dry_run=True))["init"]["lines"])
    train(config)
    assert f"init       {source}: " in capsys.readouterr().out
    wanted, found = (read_folder(folder) for folder in (source, f"{config.output}/model"))
    assert found.digest == wanted.digest
    assert json.loads(Path(config.output, "plan.json").read_text())["init"]["digest"] == wanted.digest

    Path(source).rename(tmp_path / "moved")
    train(replace(config, steps=5, extend=True))
    train(replace(config, steps=6, extend=True, init=str(tmp_path / "moved")))
    with pytest.raises(TagmillError, match="no such file or folder"):
        train(replace(config, steps=7, extend=True))
    for other in (None, f"{first.output}/checkpoints/2"):
        with pytest.raises(TagmillError, match=rf"init is '{wanted.digest}', this run's is "):
            train(replace(config, steps=7, extend=True, init=other))
