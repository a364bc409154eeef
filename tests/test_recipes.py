"""The recipes: they parse, say how far each number is the paper's, build the paper's networks, and run dry on any corpus."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import tagmill.train
from tagmill.shards import ConfigError
from tagmill.train import TrainConfig, load_recipe, main
from tagmill.training.model.build import build_model
from tests.pipeline.corpora import Made, make_corpus

RECIPES = sorted((Path(__file__).resolve().parent.parent / "recipes").glob("*.toml"))
PAPERS = [path for path in RECIPES if path.stem != "demo"]
TAGS = re.compile(r"(?<!un)verified|\[V2?\]|unverified \[M-(hi|med|lo)\]|\bours\b")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [20, 10], holdout=[5])


def test_all_are_here() -> None:
    names = {path.stem for path in RECIPES}
    assert {"demo", "mahajan2018-resnext101-32x16d", "swag2022-regnety-16gf", "swag2022-vit-b16"} <= names
    assert "bit2019-r50x1" in names


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_runs_dry(path: Path, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--recipe", str(path), "--corpus", made.url, "--output", str(tmp_path / "model"), "--dry-run"])
    told = capsys.readouterr().out
    assert load_recipe(path).model in told and "30 samples an epoch" in told
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_its_head_has_the_command_and_what_to_expect(path: Path) -> None:
    head = [line for line in path.read_text().split("\n\n")[0].splitlines() if line.startswith("#")]
    assert any(f"--recipe recipes/{path.name}" in line for line in head)
    assert any("Expect: " in line for line in head)


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_number_says_where_it_comes_from(path: Path) -> None:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w+ = ", line) and not line.startswith('schedule = "milestones"'):
            said = line.partition("#")[2] or (lines[number - 1] if lines[number - 1].startswith("#") else "")
            assert TAGS.search(said), f"{path.name}:{number + 1} does not say where its value comes from"
            assert "[M-" not in said or "unverified" in said, f"{path.name}:{number + 1}"


@pytest.mark.parametrize(
    ("name", "weights", "features", "peak"),
    [
        # weights with 1,000 labels, in millions, and features: WSL-Images and SWAG repositories, BiT's models.py
        ("mahajan2018-resnext101-32x16d", 194.0, 2048, 3.15),
        ("swag2022-regnety-16gf", 83.6, 3024, 3.2),
        ("swag2022-vit-b16", 86.6, 768, 4e-4),
        ("bit2019-r50x1", 25.5, 2048, 0.48),
    ],
)
def test_it_builds_the_network_of_its_paper(name: str, weights: float, features: int, peak: float) -> None:
    config = load_recipe(next(path for path in RECIPES if path.stem == name))
    with torch.device("meta"):
        model: Any = build_model(config, 1000)
    assert sum(value.numel() for value in model.parameters()) / 1e6 == pytest.approx(weights, abs=0.06)
    assert model.num_features == features
    assert config.lr * config.batch_size / (config.lr_batch_size or config.batch_size) == pytest.approx(peak)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bach_size = 3", r"no such fields: bach_size.*batch_size"),
        ('recipe = "other.toml"', "no such fields: recipe"),
        ('lr = "fast"', "lr = 'fast'"),
        ("epochs = 1.5", r"epochs = 1\.5"),
        ("epochs = true", "epochs = True"),
        ('optimiser = "adam"', "optimiser = 'adam'.*adamw"),
        ('milestones = [0.1, "half"]', "milestones"),
        ("model_args = 3", "model_args = 3"),
        ("randaugment = [2.5, 9]", "randaugment"),
        ("randaugment = [2, 31]", "randaugment"),
        ("jitter = [0.4, 0.4]", "jitter"),
        ("lr = ", "no recipe"),
        ("batch_size = -1", "batch_size = -1"),
    ],
)
def test_what_a_recipe_cannot_say_is_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_recipe(tmp_path / "bad.toml")


def test_augmentation_is_said_in_lists(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("jitter = [0.4, 0.4, 0, 0.1]\nrandaugment = [2, 9]\nmixup = 1\n")
    config = load_recipe(tmp_path / "own.toml")
    assert (config.jitter, config.randaugment, config.mixup) == ((0.4, 0.4, 0.0, 0.1), (2, 9), 1.0)
    assert {type(value) for value in config.randaugment} == {int}
    held_out = config.loader_config("holdout")
    assert (held_out.augment, held_out.randaugment, held_out.mixup) == ("eval", (0, 0), 0.0)
    assert config.loader_config().randaugment == (2, 9)


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_recipe(tmp_path / "none.toml")


def test_flags_override_the_recipe_and_the_recipe_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.toml").write_text("lr = 2\nbatch_size = 96\nmilestones = [0.5]\n[model_args]\ndrop_rate = 0.1\n")
    ran: list[TrainConfig] = []
    monkeypatch.setattr(tagmill.train, "train", ran.append)
    main(["--recipe", str(tmp_path / "own.toml"), "--lr", "3"])
    main([f"--recipe={tmp_path / 'own.toml'}", "--accumulation", "3", "--model-args.drop-rate", "0.2"])
    main(["--model-args", "img_size", "32", "global_pool", "avg"])
    assert (ran[0].lr, ran[0].batch_size, ran[0].milestones, ran[0].model_args) == (3.0, 96, (0.5,), {"drop_rate": 0.1})
    assert (ran[1].lr, ran[1].accumulation, ran[1].model_args) == (2.0, 3, {"drop_rate": 0.2})
    assert ran[2] == TrainConfig(model_args={"img_size": 32, "global_pool": "avg"})
