"""Where a layout begins, and its parts."""

from pathlib import Path

import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import write_files


def nothing(kind: str, files: SetFiles, split: str | None) -> LabelledSet:
    raise AssertionError(kind)


LAYOUT = Layout(("outer/inner", "outer"), ("list.txt", "images/"), nothing)


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("list.txt", ""),
        ("images/a/1.png", ""),
        ("outer/list.txt", "outer"),
        ("outer/inner/images/1.png", "outer/inner"),
        ("images.txt", None),
        ("images-2/1.png", None),
        ("other/list.txt", None),
        ("outer/other/list.txt", None),
    ],
)
def test_a_set_begins_in_a_folder_or_one_of_its_homes(tmp_path: Path, name: str, home: str | None) -> None:
    found = LAYOUT.begins(SetFiles.below(str(write_files(tmp_path, {name: b"x", "z": b""}))))
    if home is None:
        assert found is None
    else:
        assert found is not None and found.store.url.rstrip("/") == str(tmp_path / home)
        assert name.removeprefix(f"{home}/") in found.sizes


def test_a_folder_that_must_be_the_only_one(tmp_path: Path) -> None:
    alone = Layout(("home",), ("7/",), nothing, only_folder=True)
    write_files(tmp_path, {"home/7/a/1.png": b"", "readme": b"", "home/.cache/x": b""})
    assert alone.begins(SetFiles.below(str(tmp_path))) is not None
    write_files(tmp_path, {"home/8/1.png": b""})
    assert alone.begins(SetFiles.below(str(tmp_path))) is None


def test_parts_of_a_set() -> None:
    assert chosen_parts("val+train+val", ["train", "val"], "here") == ["val", "train"]
    assert chosen_parts(None, ["train"], "here") == ["train"]
    for split in ("train+", "train+test", "", "+"):
        with pytest.raises(InputError, match=r"no part .* \(here\): there are: train, val"):
            chosen_parts(split, ["train", "val"], "here")
    assert part_name("dtd", ["train", "val"]) == "dtd-train+val" and part_name("sun397", []) == "sun397"
