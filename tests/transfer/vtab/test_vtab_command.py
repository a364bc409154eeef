"""Whole runs of `tagmill transfer vtab` on a task with VTAB's lists and one without."""

import json
from pathlib import Path

import pytest

from tagmill.shards import InputError
from tagmill.transfer.vtab import like_split
from tagmill.transfer.vtab.vtab_command import VTAB_FILE, task_sets, vtab_command
from tagmill.transfer.vtab.vtab_tasks import vtab_task
from tests.transfer.command.drawn_folder import NETWORK, write_folder, write_model


def write_tasks(root: Path) -> Path:
    """kitti with lists of 24 images, 6 of them to choose settings on, and 12 to test on; svhn as class folders."""
    made = write_folder(root / "kitti", 3, 12)
    rows = [f"class{n % 3}/{n}.jpg {n % 3}\n" for n in range(36)]
    parts = {"train800": rows[:18], "val200": rows[18:24], "train800val200": rows[:24], "test": rows[24:]}
    for name, some in parts.items():
        (made / f"{name}.txt").write_text("".join(some))
    write_folder(root / "svhn", 3, 16, seed=1)
    return root


def test_the_means_are_of_the_tasks_that_are_there_and_again_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(like_split, "LIKE_TRAIN", 24)
    monkeypatch.setattr(like_split, "LIKE_VAL", 9)
    words = [write_model(tmp_path), str(write_tasks(tmp_path / "tasks")), "--network", NETWORK, "--resolution", "64"]
    words += ["--device", "cpu", "--threads", "1", "--output", str(tmp_path / "out")]
    vtab_command(words)
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
    files = sorted((tmp_path / "out").rglob("*.parquet"))
    vtab_command([*words, "--json"])
    assert capsys.readouterr().out.encode() == data and sorted((tmp_path / "out").rglob("*.parquet")) == files


def test_a_task_without_lists_needs_a_thousand_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="48 images, where 800 and 200 are drawn"):
        task_sets(str(write_tasks(tmp_path)), vtab_task("svhn"))
