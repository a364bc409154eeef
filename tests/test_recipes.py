"""The recipes: they parse, say how far each number is the paper's, build the paper's networks, and run dry on any corpus."""

import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch

import tagmill.train
from tagmill.shards import ConfigError
from tagmill.train import TrainConfig, load_recipe, main
from tagmill.training.config.recipe import from_command_line
from tagmill.training.model.build import build_model, check_model
from tests.pipeline.corpora import Made, make_corpus

FOLDER = Path(__file__).resolve().parent.parent / "recipes"
RECIPES = sorted(FOLDER.rglob("*.toml"))
PAPERS = [path for path in RECIPES if path.stem not in ("demo", "study")]  # which are ours
TAGS = re.compile(r"(?<!un)verified|\[V2?\]|unverified \[M-(hi|med|lo)\]|\bours\b")
BIT = ("r50x1", "r50x3", "r101x1", "r101x3", "r152x2", "r152x4")
CHECKED = set[str]()  # networks, by the test of dry runs
NAMES = {
    "demo",
    "study",
    *(f"mahajan2018/resnext101-32x{width}d" for width in (4, 8, 16, 32, 48)),
    *(
        f"swag2022/{name}"
        for name in ("regnety-16gf", "regnety-32gf", "regnety-128gf", "vit-b16", "vit-l16", "vit-h14")
    ),
    *(f"bit2019/{size}{loss}" for size in BIT for loss in ("", "-sigmoid")),
    *(f"yalniz2019/{name}" for name in ("teacher", "teacher-finetune", "student", "student-finetune")),
    "catlip2024/vit-b16",
}


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def head_of(path: Path) -> str:
    """The comment that a recipe begins with."""
    lines = path.read_text().splitlines()
    return "\n".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])


def largest_world(path: Path) -> int:
    """The processes that the command in a recipe's head starts."""
    nodes = re.search(r"--nnodes (\d+) --nproc-per-node (\d+)", head_of(path))
    return int(nodes[1]) * int(nodes[2]) if nodes else 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [20, 10], holdout=[5])


@pytest.fixture
def each_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries a network's sizes in the first of the runs that have it only: processes and schedules change nothing there."""

    def check(config: TrainConfig) -> None:
        key = repr((config.model, config.model_args, config.size, config.evaluation_size))
        if key not in CHECKED:
            check_model(config)
            CHECKED.add(key)

    monkeypatch.setattr(tagmill.train, "check_model", check)


def test_all_are_here() -> None:
    assert {name_of(path) for path in RECIPES} == NAMES


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_it_runs_dry_on_one_process_and_on_all_that_it_names(
    path: Path, made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str], each_network_once: None
) -> None:
    for world in sorted({1, largest_world(path)}):
        words = ["--corpus", made.url, "--output", str(tmp_path / "model"), "--dry-run", "--processes", str(world)]
        main(["--recipe", str(path), *words])
        told = capsys.readouterr().out
        config = load_recipe(path)
        assert config.model in told and "30 samples an epoch" in told
        assert f"processes  {world} on " in told and f", {config.batch_size // world} images of a step each" in told
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_its_head_has_the_command_and_what_to_expect(path: Path) -> None:
    head = head_of(path)
    assert f"--recipe recipes/{name_of(path)}.toml" in head and "# Expect: " in head
    assert head.count("torchrun") == head.count("--max-restarts 3")


@pytest.mark.parametrize("path", RECIPES, ids=name_of)
def test_the_flags_of_its_command_exist(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is that of the head, without `#`; a demo has the line of `tagmill train`."""
    monkeypatch.chdir(FOLDER.parent)
    text = "\n".join(line.removeprefix("#").strip() for line in head_of(path).splitlines()).replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if "--recipe" in line]
    words = line.split()
    start = words.index("tagmill.train") + 1 if "tagmill.train" in words else 2
    assert words[0] == "torchrun" or words[:2] == ["tagmill", "train"]
    config = from_command_line(words[start:])
    assert config.recipe == f"recipes/{name_of(path)}.toml" and {config.corpus, config.output} & set(words)
    assert (config.init is not None) == path.stem.endswith("-finetune")


@pytest.mark.parametrize(
    ("paper", "world", "images"),
    [("mahajan2018", 336, 24), ("swag2022", 256, 32), ("bit2019", 32, 128), ("catlip2024", 64, 1024)],
)
def test_a_paper_names_its_processes_and_each_has_whole_images(paper: str, world: int, images: int) -> None:
    for path in FOLDER.glob(f"{paper}/*.toml"):
        config = load_recipe(path)
        assert (largest_world(path), config.batch_size) == (world, world * images), path
        assert (config.streams or 0) % world == 0, path


@pytest.mark.parametrize("path", PAPERS, ids=name_of)
def test_every_number_says_where_it_comes_from(path: Path) -> None:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w+ = ", line) and not line.startswith("base = "):
            above = list(takewhile(lambda each: each.startswith("#"), reversed(lines[:number])))
            said = line.partition("#")[2] or "".join(above)
            assert TAGS.search(said), f"{path.name}:{number + 1} does not say where its value comes from"
        assert "[M-" not in line or "unverified" in line, f"{path.name}:{number + 1}"


@pytest.mark.parametrize(
    ("name", "weights", "published", "features", "peak"),
    [
        # Weights with 1,000 labels; the same in millions as timm's tables of results give them; features; rate at its peak
        ("mahajan2018/resnext101-32x4d", 44_177_704, 44.18, 2048, 3.15),
        ("mahajan2018/resnext101-32x8d", 88_791_336, 88.79, 2048, 3.15),
        ("mahajan2018/resnext101-32x16d", 194_026_792, 194.03, 2048, 3.15),
        ("mahajan2018/resnext101-32x32d", 468_530_472, 468.53, 2048, 3.15),
        ("mahajan2018/resnext101-32x48d", 828_411_176, 828.41, 2048, 3.15),
        ("swag2022/regnety-16gf", 83_590_140, 83.59, 3024, 3.2),
        ("swag2022/regnety-32gf", 145_046_770, 145.05, 3712, 3.2),
        ("swag2022/regnety-128gf", 644_812_894, 644.81, 7392, 3.2),
        ("swag2022/vit-b16", 86_567_656, 86.57, 768, 4e-4),
        ("swag2022/vit-l16", 304_326_632, 304.33, 1024, 4e-4),
        ("swag2022/vit-h14", 632_045_800, 632.05, 1280, 4e-4),
        ("bit2019/r50x1", 25_549_352, 25.55, 2048, 0.48),
        ("bit2019/r50x3", 217_319_080, 217.32, 6144, 0.48),
        ("bit2019/r101x1", 44_541_480, 44.54, 2048, 0.48),
        ("bit2019/r101x3", 387_934_888, 387.93, 6144, 0.48),
        ("bit2019/r152x2", 236_335_208, 236.34, 4096, 0.48),
        ("bit2019/r152x4", 936_533_224, 936.53, 8192, 0.48),
        *((f"bit2019/{size}-sigmoid", 0, 0.0, 0, 0.48) for size in BIT),  # the network of the recipe without -sigmoid
        ("yalniz2019/teacher", 828_411_176, 828.41, 2048, 3.15),
        ("yalniz2019/teacher-finetune", 828_411_176, 828.41, 2048, 0.0015),
        ("yalniz2019/student", 25_557_032, 25.56, 2048, 0.6),
        ("yalniz2019/student-finetune", 25_557_032, 25.56, 2048, 0.0015),
        ("catlip2024/vit-b16", 86_567_656, 86.57, 768, 1e-3),
    ],
)
def test_it_builds_the_network_of_its_paper(
    name: str, weights: int, published: float, features: int, peak: float
) -> None:
    config = load_recipe(FOLDER / f"{name}.toml")
    assert config.peak_lr == pytest.approx(peak)
    if not weights:
        plain = load_recipe(FOLDER / f"{name.removesuffix('-sigmoid')}.toml")
        assert (config.model, config.model_args, config.loss) == (plain.model, plain.model_args, "sigmoid")
        assert plain.loss == "softmax"
        return
    with torch.device("meta"):
        model: Any = build_model(config, 1000)
    assert sum(value.numel() for value in model.parameters()) == weights
    assert weights / 1e6 == pytest.approx(published, rel=1e-3)
    assert model.num_features == features


@pytest.mark.parametrize("path", [path for path in RECIPES if "sigmoid" not in path.stem], ids=name_of)
def test_its_row_in_the_guide_has_its_values(path: Path) -> None:
    config = load_recipe(path)
    with torch.device("meta"):
        weights = sum(value.numel() for value in build_model(config, 1000).parameters())
    length = f"{config.epochs} epochs" if config.epochs else f"{config.steps or 0:,} steps"
    length = f"{config.images / 1e9:g} billion images" if config.images else length
    values = [config.loss, config.optimiser, f"{config.batch_size:,}", length, str(largest_world(path))]
    row = " | ".join([f"| `{name_of(path)}`", f"{weights / 1e6:.1f}", *values]) + " |"
    assert row in (FOLDER.parent / "docs" / "training" / "recipes.md").read_text().splitlines()


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
