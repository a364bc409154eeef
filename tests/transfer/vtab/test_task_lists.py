"""Tests of the lists of images that people have."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import InputError
from tagmill.transfer.vtab.task_lists import LISTS, has_lists, open_task, parse_list, rows_of, tasks_below
from tagmill.transfer.vtab.vtab_tasks import vtab_task
from tests.transfer.probes.tables import table

KITTI = vtab_task("kitti")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = tmp_path / "kitti" / "images" / "trainval"
    images.mkdir(parents=True)
    for number in range(6):
        (images / f"{number:06d}.jpg").write_bytes(b"image %d" % number)
    rows = [f"images/trainval/{number:06d}.jpg {number % 4}\n" for number in range(6)]
    (tmp_path / "kitti" / "train800.txt").write_text("".join(rows[:3]))
    (tmp_path / "kitti" / "val200.txt").write_text("".join(rows[3:4]))
    (tmp_path / "kitti" / "train800val200.txt").write_text("".join(rows[:4]))
    (tmp_path / "kitti" / "test.txt").write_text("".join(rows[4:]) + "images/test/gone.jpg 3\n\n")
    (tmp_path / "svhn").mkdir()
    (tmp_path / "svhn" / "note").write_text("no list")
    return tmp_path


def test_opens_each_part_in_the_order_of_its_list(root: Path) -> None:
    sizes = {part: len(open_task(str(root), KITTI, part)) for part in LISTS}
    assert sizes == {"train": 3, "val": 1, "trainval": 4, "test": 3}
    test = open_task(str(root), KITTI, "test")
    assert [example.labels for example in test.examples] == [(0,), (1,), (3,)] and len(test.classes) == 4
    assert test.read([1, 0, 2]) == [b"image 5", b"image 4", None]
    assert test.name == "vtab-1k kitti test" and test.digest != open_task(str(root), KITTI, "val").digest


def test_says_which_features_are_of_the_images_to_choose_settings_on(root: Path) -> None:
    whole = open_task(str(root), KITTI, "trainval")
    features = table(np.zeros((4, 1)), [0, 1, 2, 3], 4)
    features = replace(features, keys=np.array([example.key for example in whole.examples]))
    assert rows_of(features, open_task(str(root), KITTI, "val")).tolist() == [False, False, False, True]


def test_finds_the_tasks_and_says_which_have_lists(root: Path) -> None:
    assert [task.folder for task in tasks_below(str(root))] == ["svhn", "kitti"]
    assert has_lists(str(root), KITTI) and not has_lists(str(root), vtab_task("svhn"))
    with pytest.raises(InputError, match="no list of images"):
        open_task(str(root), vtab_task("svhn"), "test")
    with pytest.raises(InputError, match="no task of VTAB here"):
        tasks_below(str(root / "kitti"))


PATHS = st.lists(
    st.text("ab0 -_é", min_size=1, max_size=9).map(str.strip).filter(bool), min_size=1, max_size=9, unique=True
)


@given(PATHS, st.data())
def test_reads_back_what_is_written(paths: list[str], data: st.DataObject) -> None:
    labels = {path: data.draw(st.integers(0, 3)) for path in paths}
    text = "".join(f"{path} {label}\n" for path, label in labels.items())
    assert parse_list(text.encode(), KITTI, "list") == labels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a.jpg\n", "no path and class"),
        (b"a.jpg x\n", "no path and class"),
        (b"a.jpg -1\n", "no path and class"),
        (b"a.jpg 1.0\n", "no path and class"),
        (b"ok.jpg 1\n 3\n", "no path and class.*line 2"),
        (b"a.jpg 99999999999999999999\n", "no path and class"),
        ("a.jpg ²\n".encode(), "no path and class"),
        (b"a.jpg 4\n", "class 4, where kitti has 4"),
        (b"../a.jpg 1\n", "leaves the folder"),
        (b"/etc/passwd 1\n", "leaves the folder"),
        (b"s3://bucket/a.jpg 1\n", "leaves the folder"),
        (b"a.jpg 1\na.jpg 2\n", "two classes of 'a.jpg'"),
        (b"\xff\xfe 1\n", "not UTF-8"),
        (b"\x1b[31m\n", r"'\\x1b\[31m' is no path"),
    ],
)
def test_refuses_lines_of_another_form(text: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_list(text, KITTI, "list")


def test_a_path_that_is_listed_twice_with_one_class_is_one_example() -> None:
    assert parse_list(b"a.jpg 1\n./a.jpg 1\n", KITTI, "list") == {"a.jpg": 1}
