"""Tests that flags override a recipe, and a length on the command line all lengths of it."""

from pathlib import Path

import pytest

from tagmill.training.config.recipe import COMMON, EXAMPLES, TRAIN_COMMAND, from_command_line, load_recipe


@pytest.mark.parametrize(
    ("words", "epochs", "steps", "images"),
    [
        ([], 3, None, 500),
        (["--steps", "200"], None, 200, None),
        (["--steps=200"], None, 200, None),
        (["--dry-run", "--steps", "200", "--no-compile"], None, 200, None),
        (["--images", "900", "--epochs", "2"], 2, None, 900),
        (["--lr", "2"], 3, None, 500),
    ],
)
def test_a_length_that_is_given_replaces_those_of_the_recipe(
    words: list[str], epochs: int | None, steps: int | None, images: int | None, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text("epochs = 3\nimages = 500\n")
    config = from_command_line(["--recipe", str(tmp_path / "own.toml"), *words])
    assert (config.epochs, config.steps, config.images) == (epochs, steps, images)


def test_a_length_of_a_recipe_replaces_those_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("images = 500\nepochs = 3\nlr = 2\n")
    (tmp_path / "own.toml").write_text('base = "base.toml"\nsteps = 70\n')
    config = load_recipe(tmp_path / "own.toml")
    assert (config.epochs, config.steps, config.images, config.lr) == (None, 70, None, 2.0)
    assert from_command_line(["--recipe", str(tmp_path / "own.toml")]) == config


def test_a_warm_up_that_is_given_replaces_that_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("batch_size = 10\nwarmup_images = 500\n")
    found = [
        from_command_line(["--recipe", str(tmp_path / "own.toml"), *words]).images_of_warmup
        for words in ([], ["--warmup-steps", "7"], ["--warmup_images=3"], ["--warmup-lr", "0.1"])
    ]
    assert found == [500, 70, 3, 500]


def test_the_help_has_examples_at_its_top_and_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        from_command_line(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    top = lines[: lines.index(next(line for line in lines if "show this help" in line))]
    assert all(line in top for each in EXAMPLES for line in each.splitlines())


def test_every_flag_is_in_a_group_and_the_common_ones_exist() -> None:
    flags = {flag.name: flag.group for flag in TRAIN_COMMAND.flags()}
    assert set(COMMON) <= flags.keys() and "train" not in flags.values()
