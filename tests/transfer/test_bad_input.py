"""What no protocol can use is one line and status 1, or is counted: through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tagmill.cli import main
from tests.transfer.command.drawn_folder import NETWORK, write_folder, write_model

SMALL = ["--network", NETWORK, "--device", "cpu", "--threads", "1"]
FLAGS = [*SMALL, "--resolution", "64", "--neighbours", "3", "--images", "0"]

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"), 3, 10)


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The only line of a command that ends with status 1."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 1 and lines and lines[-1].startswith("tagmill transfer"), lines
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def changed(model: str, folder: Path, change: Callable[[Weights], Weights]) -> str:
    """The file of a model whose weights were changed."""
    save_file(
        {name: value.contiguous() for name, value in change(load_file(model)).items()}, folder / "other.safetensors"
    )
    return str(folder / "other.safetensors")


def test_a_set_of_one_class(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = write_folder(tmp_path / "one", 1, 4)
    words = ["transfer", model, str(one), *FLAGS, "--output", str(tmp_path / "out")]
    assert "a set with 1 class" in refused(words, capsys)
    assert not (tmp_path / "out").exists()


def test_empty_classes_and_undecodable_images_are_counted(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_folder(tmp_path / "whole", 3, 10, seed=2)
    (whole / "empty").mkdir()
    for number in range(3):
        (whole / "empty" / f"{number}.jpg").write_bytes(b"no image")
    words = ["transfer", model, str(whole), *FLAGS, "--output", str(tmp_path / "out"), "--protocols", "knn"]
    main(words)
    (found,) = json.loads((tmp_path / "out" / "report.json").read_bytes())["outcomes"]
    assert found["settings"]["classes_without_training_images"] == 1
    left_out = 33 - found["settings"]["training_images"] - found["images"]
    assert left_out == 4 and sum(found["skipped"].values()) <= 4 and set(found["skipped"]) <= {"not_an_image"}


def test_fewer_images_than_shots(model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "transfer",
        model,
        str(images),
        *FLAGS,
        "--output",
        str(tmp_path),
        "--protocols",
        "few-shot",
        "--shots",
        "9",
    ]
    line = refused(words, capsys)
    assert "3 of 3 classes have fewer than 9 training images" in line and "--allow-fewer" in line


def test_a_test_set_of_other_classes(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_folder(tmp_path / "other", 3, 4, seed=3)
    (other / "class1").rename(other / "kind1")
    words = ["transfer", model, str(images), "--test", str(other), *FLAGS, "--output", str(tmp_path / "out")]
    line = refused(words, capsys)
    assert "class 1 is 'class1' in the training set and 'class2' in the test set" in line
    assert not (tmp_path / "out").exists(), "it is known before any feature is made"


def test_several_labels_where_one_is_needed(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(str(path.relative_to(images)) for path in images.rglob("*.jpg"))
    table, both = images / "several.csv", [f"{name},class0|class1" for name in names]
    table.write_text("\n".join(["path,labels", *both]))
    words = ["transfer", model, str(table), *FLAGS, "--output", str(tmp_path / "out"), "--protocols", "knn"]
    assert "no image has exactly one label" in refused(words, capsys)
    table.write_text("\n".join(["path,labels", *(f"{name},{name.split('/')[0]}" for name in names[:-2]), *both[-2:]]))
    main(words)
    assert "2 images left out, several_labels" in capsys.readouterr().out


def test_a_model_that_names_no_labels_cannot_be_judged_without_training(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["transfer", "zero-shot", model, str(images), *SMALL, "--output", str(tmp_path)]
    assert "a model that does not name its labels" in refused(words, capsys)


def test_weights_of_another_network_are_refused_and_none_of_a_last_layer_are_needed(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--output", str(tmp_path / "out"), "--protocols", "knn"]
    other = ["transfer", model, str(images), *FLAGS, *rest]
    other[other.index(NETWORK)] = "test_vit"
    assert "test_vit" in refused(other, capsys)
    bare = changed(
        model, tmp_path, lambda weights: {name: value for name, value in weights.items() if "fc." not in name}
    )
    main(["transfer", bare, str(images), *FLAGS, *rest])
    main(["transfer", model, str(images), *FLAGS, *rest[2:], "--output", str(tmp_path / "whole")])
    reports = [json.loads((tmp_path / name / "report.json").read_bytes()) for name in ("out", "whole")]
    assert reports[0]["outcomes"][0]["confusions"] == reports[1]["outcomes"][0]["confusions"]
    assert reports[0]["outcomes"][0]["right"] == reports[1]["outcomes"][0]["right"]


def test_features_that_are_not_finite(
    model: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--output", str(tmp_path / "out"), "--protocols", "knn"]

    def scaled(factor: float) -> Callable[[Weights], Weights]:
        return lambda weights: {name: value * factor if value.ndim == 4 else value for name, value in weights.items()}

    large = changed(model, tmp_path, scaled(1e30))
    line = refused(["transfer", large, str(images), *FLAGS, *rest], capsys)
    assert "no image of the set is left" in line and "23 not_finite" in line and "weights" in line
    broken = changed(model, tmp_path, scaled(float("nan")))
    assert "not finite" in refused(["transfer", broken, str(images), *FLAGS, *rest], capsys)
