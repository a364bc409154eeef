"""Published layouts are recognised by their files."""

from pathlib import Path

import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.all_layouts import LAYOUTS, layout_set, recognised_layout
from tagmill.transfer.sets.open_set import KINDS, open_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import write_files

PETS = {"annotations/trainval.txt": b"A_1 1 1 1\nb_c_2 2 1 1\n"}
DTD = {"labels/train1.txt": b"a/1.jpg\nb/2.jpg\n"}
SETS: dict[str, tuple[str, str, dict[str, bytes], int]] = {  # home, split, files, images
    "food-101": ("food-101", "train", {"meta/train.txt": b"a/1\nb/2\n"}, 2),
    "dtd": ("dtd/dtd", "train", DTD, 2),
    "oxford-iiit-pet": ("oxford-iiit-pet", "trainval", PETS, 2),
    "fgvc-aircraft": (
        "fgvc-aircraft-2013b",
        "test",
        {"data/variants.txt": b"a\nb\n", "data/images_variant_test.txt": b"1 b\n"},
        1,
    ),
}


@pytest.mark.parametrize("kind", [*SETS])
def test_a_set_is_recognised_in_its_folder_and_below_a_root(tmp_path: Path, kind: str) -> None:
    home, split, files, count = SETS[kind]
    folder = write_files(tmp_path / home, files)
    found = [open_set(str(place), split) for place in (folder, tmp_path / home.partition("/")[0], tmp_path)]
    found += [open_set(f"{kind}:{place}", split) for place in (folder, tmp_path)]
    assert {each.digest for each in found} == {found[0].digest} and len(found[0]) == count
    assert {each.name for each in found} == {f"{kind}-{split}"}


def test_several_sets_below_a_root_are_named(tmp_path: Path) -> None:
    write_files(tmp_path / "oxford-iiit-pet", PETS)
    write_files(tmp_path / "dtd" / "dtd", DTD)
    with pytest.raises(InputError, match=r"several sets: dtd, oxford-iiit-pet .*: give the folder of one, or dtd:"):
        open_set(str(tmp_path))
    assert open_set(f"dtd:{tmp_path}", "train").name == "dtd-train"


def test_other_folders_have_no_layout(tmp_path: Path) -> None:
    files = SetFiles.below(str(write_files(tmp_path, {"labels/a.txt": b"", "images/a/1.png": b"", "meta/x": b""})))
    assert recognised_layout(files) is None
    for kind, layout in LAYOUTS.items():
        with pytest.raises(InputError, match=rf"no files of {kind} \(.*\): give the folder that has "):
            layout_set(kind, files, None)
        assert layout.marks and kind in KINDS
