"""Whole runs of `tagmill transfer vtab` on tasks with VTAB's lists and one without."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards import ConfigError, Store
from tagmill.transfer.vtab import like_split
from tagmill.transfer.vtab.vtab_command import VTAB_FILE, VTAB_PAGE, vtab_command
from tests.transfer.command.drawn_folder import NETWORK, write_folder, write_model
from tests.warm.python import called

TUNING = ["--protocol", "fine-tune", "--scale", "0.004", "--fine-tune-size", "32", "--fine-tune-batch", "8"]


def write_listed(folder: Path, seed: int = 0) -> None:
    """A task with lists of 24 images, 6 of them to choose settings on, and 12 to test on."""
    made = write_folder(folder, 3, 12, seed)
    rows = [f"class{n % 3}/{n}.jpg {n % 3}\n" for n in range(36)]
    parts = {"train800": rows[:18], "val200": rows[18:24], "train800val200": rows[:24], "test": rows[24:]}
    for name, some in parts.items():
        (made / f"{name}.txt").write_text("".join(some))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A model, and a folder with kitti and dsprites_loc, which have lists, and svhn as class folders."""
    folder = tmp_path_factory.mktemp("given")
    write_listed(folder / "tasks" / "kitti")
    write_listed(folder / "listed" / "kitti")
    write_listed(folder / "listed" / "dsprites_loc", 2)
    write_folder(folder / "tasks" / "svhn", 3, 16, seed=1)
    return [write_model(folder), str(folder), "--network", NETWORK, "--device", "cpu", "--threads", "1"]


def run(given: list[str], tasks: str, output: Path, *words: str) -> None:
    model, folder, *flags = given
    vtab_command([model, f"{folder}/{tasks}", *flags, "--output", str(output), *words])


@pytest.fixture(scope="module")
def tuned(given: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of fine-tuning that nothing disturbed."""
    output = tmp_path_factory.mktemp("tuned") / "out"
    run(given, "listed", output, *TUNING)
    return output


def test_the_means_are_of_the_tasks_that_are_there_and_again_the_same_bytes(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(like_split, "LIKE_TRAIN", 24)
    monkeypatch.setattr(like_split, "LIKE_VAL", 9)
    run(given, "tasks", tmp_path / "out", "--resolution", "64")
    shown = capsys.readouterr().out
    assert "VTAB-like: mean of tasks" in shown and "17 of 19 tasks are absent" in shown and "ours: svhn" in shown
    data = (tmp_path / "out" / VTAB_FILE).read_bytes()
    found = json.loads(data)
    assert found["name"] == "VTAB-like" and found["ours"] == ["svhn"] and len(found["absent"]) == 17
    by_task = {each["task"]: each for each in found["tasks"]}
    assert by_task["kitti"]["images"] == 12 and by_task["kitti"]["settings"]["held_out_images"] == 6
    assert by_task["kitti"]["settings"]["training_images"] == 23, "one image of the list cannot be decoded"
    shares = [each["right"] / each["images"] for each in found["tasks"]]
    assert found["mean"] == pytest.approx(sum(shares) / 2) == pytest.approx(found["mean_of_groups"])
    assert set(found["groups"]) == {"natural", "structured"}
    assert (
        found["differs"][0].startswith("A linear probe") and "VTAB-like" in (tmp_path / "out" / VTAB_PAGE).read_text()
    )
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    run(given, "tasks", tmp_path / "out", "--resolution", "64", "--json")
    assert capsys.readouterr().out.encode() == data and sorted((tmp_path / "out").rglob("*.parquet")) == files


def test_fine_tuning_is_bits_with_the_exceptions_of_each_task(tuned: Path) -> None:
    found = json.loads((tuned / VTAB_FILE).read_bytes())
    assert (found["name"], found["protocol"], found["ours"]) == ("VTAB-1k", "fine-tune", [])
    settings: dict[str, Any] = {each["task"]: each["settings"] for each in found["tasks"]}
    assert [*settings] == ["kitti", "dsprites_loc"]
    recipes = {name: each["recipe"] for name, each in settings.items()}
    assert [(each["cropped"], each["flipped"]) for each in recipes.values()] == [(False, True), (False, False)]
    for name, recipe in recipes.items():
        assert recipe["schedule"]["steps"] == 2 and (recipe["scale"], recipe["size"], recipe["mixup"]) == (0.004, 32, 0)
        assert settings[name]["train_images"] == 24 and sum(settings[name]["train_skipped"].values()) == 1
        assert (tuned / "fine-tune" / settings[name]["run"]).is_dir()
    states = {each["setting"]: each["verified"] for each in found["papers"]}
    assert states["no flips for dSprites-orientation, dSprites-location and SmallNORB-azimuth"] == "paper"
    assert "not verified" in states.values() and any("0.004 of its steps" in each for each in found["differs"])


def killed(given: list[str], output: str, put: int) -> None:
    """Runs in this process, which a SIGKILL ends in the middle of a write."""
    put_before, left = Store.put, [put]

    def counted(store: Store, name: str, *more: Any, **named: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            Path(f"{output}.killed").write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)
        put_before(store, name, *more, **named)

    Store.put = counted  # type: ignore[method-assign,assignment]
    run(given, "listed", Path(output), *TUNING)


def test_a_run_that_is_killed_goes_on_at_its_task(given: list[str], tuned: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert called(tmp_path / "call", killed, given, str(output), 11).wait(200) == -signal.SIGKILL
    assert Path(f"{output}.killed").read_text().startswith("checkpoints/2/") and not (output / VTAB_FILE).exists()
    (first,) = (output / "outcomes").iterdir()
    before, runs = first.stat().st_mtime_ns, {each.name for each in (output / "fine-tune").iterdir()}
    assert len(runs) == 2
    run(given, "listed", output, *TUNING)
    assert first.stat().st_mtime_ns == before and {each.name for each in (output / "fine-tune").iterdir()} == runs
    for name in (VTAB_FILE, VTAB_PAGE):
        assert (output / name).read_bytes() == (tuned / name).read_bytes()


def test_the_papers_rule_is_another_run(given: list[str], tuned: Path) -> None:
    before = (tuned / VTAB_FILE).read_bytes()
    run(given, "listed", tuned, *TUNING, "--rule", "paper")
    found = json.loads((tuned / VTAB_FILE).read_bytes())
    assert found["tasks"][0]["file"] != json.loads(before)["tasks"][0]["file"]
    assert not any("released code" in each for each in found["differs"])
    assert any("30, 60 and 90" in each["setting"] and each["verified"] == "paper" for each in found["papers"])
    run(given, "listed", tuned, *TUNING)
    assert (tuned / VTAB_FILE).read_bytes() == before


def test_a_linear_probe_is_refused_on_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes for tagmill transfer vtab by linear probes"):
        vtab_command(["model", "tasks", "--output", "out"])
