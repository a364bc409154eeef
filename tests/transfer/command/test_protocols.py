"""Each protocol that learns by steps runs through the command, and the report says with which settings."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards import ConfigError
from tagmill.training.trained.source import read_trained
from tagmill.transfer.command.asked_sets import sets_of
from tagmill.transfer.command.transfer_command import transfer_command
from tagmill.transfer.command.transfer_options import TransferOptions
from tagmill.transfer.outcome.outcome_file import read_outcome
from tagmill.transfer.sets.any_label import AnyLabelSet
from tagmill.transfer.sets.kinds.imagenet import real_labels
from tests.transfer.command.drawn_folder import NETWORK, write_folder, write_model

FLAGS = ["--network", NETWORK, "--resolution", "32", "--threads", "1", "--device", "cpu", "--images", "1"]
TUNING = ["--scale", "0.01", "--fine-tune-size", "32", "--fine-tune-batch", "8", "--fine-tune-lr", "0.01"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("inputs")
    return [write_model(folder), str(write_folder(folder / "set", each=10)), *FLAGS]


def run(words: list[str], output: Path) -> tuple[list[dict[str, Any]], str]:
    transfer_command([*words, "--output", str(output)])
    return json.loads((output / "report.json").read_bytes())["outcomes"], (output / "report.html").read_text()


def test_fine_tuning_and_swags_probe_run_and_their_settings_are_listed(inputs: list[str], tmp_path: Path) -> None:
    names = ["--protocols", "swag-linear", "fine-tune", "few-shot-fine-tune", "--fine-tune-seeds", "2"]
    shots = ["--shots", "1", "3", "--seeds", "1"]
    found, page = run([*inputs, *TUNING, *names, *shots, "--fine-tune-parts", "2"], tmp_path)
    few = ["few-shot-fine-tune, 1 a class", "few-shot-fine-tune, 3 a class"]
    assert [each["variant"] for each in found] == ["swag-linear", "hyperrule", "hyperrule", *few]
    assert len({each["images"] for each in found}) == 1 and all(each["papers"] for each in found)
    assert found[0]["settings"]["recipe"] == "regnet" and found[0]["settings"]["epochs"] == 28
    assert [each["settings"]["seed"] for each in found] == [0, 0, 1, 0, 0]
    for each in found[1:]:
        recipe = each["settings"]["recipe"]
        assert (recipe["scale"], recipe["size"], recipe["batch_size"]) == (0.01, 32, 8)
        assert recipe["schedule"]["steps"] == 5 and recipe["schedule"]["peak"] == 0.01 and recipe["zero_head"]
    assert [each["settings"]["train_images"] for each in found[3:]] == [3, 9]
    assert "few-shot-fine-tune, 3 a class" in page and "learning rate 0.003" in page and "crop_share" in page
    tuned = read_trained(str(tmp_path / "fine-tune" / found[1]["settings"]["run"]))
    assert tuned.labels is not None and len(tuned.labels) == 3 and tuned.transform is not None


@pytest.mark.parametrize("schedule", ["yalniz", "swag"])
def test_a_schedule_of_epochs_says_what_is_not_verified(inputs: list[str], tmp_path: Path, schedule: str) -> None:
    found, page = run([*inputs, *TUNING, "--protocols", "fine-tune", "--schedule", schedule], tmp_path)
    assert [each["protocol"] for each in found] == ["fine-tune"]
    recipe = found[0]["settings"]["recipe"]
    assert (recipe["name"], recipe["weight_decay"], recipe["schedule"]["warmup"]) == (schedule, 1e-4, 0)
    states = {each["setting"]: each["verified"] for each in found[0]["papers"]}
    unknown = [setting for setting, state in states.items() if state == "not verified"]
    if schedule == "yalniz":
        assert any("momentum" in each for each in unknown) and any("random resized crop" in each for each in unknown)
        assert sorted(set(states.values())) == ["not verified", "notes"]
        assert "in notes of others on the paper" in page
    else:
        assert any("learning rate" in each for each in unknown)
        assert any("518" in setting and state == "code" for setting, state in states.items())


def test_any_of_several_labels_is_right_and_images_without_are_counted(inputs: list[str], tmp_path: Path) -> None:
    folder = Path(inputs[1])
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    labels = [name[:6] if place % 3 else "class0|class1|class2" for place, name in enumerate(names)]
    labels[1] = ""
    rows = [f"{name},{label}" for name, label in zip(names, labels, strict=True)]
    (folder / "test.csv").write_text("\n".join(["path,labels", *rows]) + "\n")
    words = [*inputs, "--test", str(folder / "test.csv"), "--protocols", "knn"]
    single, _ = run(words, tmp_path / "single")
    found, page = run([*words, "--any-label"], tmp_path / "any")
    # The first image cannot be decoded, and the second has no label.
    assert single[0]["images"] + len(names[3::3]) == found[0]["images"] == len(names) - 2
    assert found[0]["right"] >= len(names[3::3]) and "several right classes" in page
    assert sum(each["images"] for each in found[0]["classes"]) == found[0]["images"] + 2 * len(names[3::3])
    (file,) = [tmp_path / "any" / each["file"] for each in found]
    outcome = read_outcome(file.read_bytes(), "file")
    assert outcome.accepted is not None and outcome.accepted.shape == (found[0]["images"], 3)
    with pytest.raises(ConfigError, match="--any-label without test images"):
        run([*inputs, "--any-label"], tmp_path / "none")


def test_reals_images_are_judged_by_all_their_labels(tmp_path: Path) -> None:
    for name in ("n01440764/a.JPEG", "n01443537/b.JPEG"):
        (tmp_path / "train" / name).parent.mkdir(parents=True)
        (tmp_path / "train" / name).write_bytes(b"a")
    (tmp_path / "val").mkdir()
    chosen = [place for place, labels in enumerate(real_labels()) if len(labels) != 1][:6]
    for place in [*chosen, real_labels().index((0,))]:
        (tmp_path / "val" / f"ILSVRC2012_val_{place + 1:08d}.JPEG").write_bytes(b"b")
    options = TransferOptions(
        model="m", set=f"imagenet:{tmp_path}/train", test=f"imagenet-real:{tmp_path}/val", output="o"
    )
    _, test, notes = sets_of(options)
    assert isinstance(test, AnyLabelSet)
    wanted = {f"ILSVRC2012_val_{place + 1:08d}.JPEG": real_labels()[place] for place in chosen if real_labels()[place]}
    found = {example.key: labels for example, labels in zip(test.examples, test.right, strict=True) if len(labels) > 1}
    assert found == wanted and len(test) == len(wanted) + 1
    assert any("no_label" in note for note in notes) == (len(wanted) < 6)
