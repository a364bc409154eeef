"""Published layouts are recognised by their files."""

from pathlib import Path

import numpy as np
import pytest

from tagmill.shards import InputError, Store
from tagmill.transfer.sets.layouts.all_layouts import LAYOUTS, layout_set, recognised_layout
from tagmill.transfer.sets.open_set import KINDS, open_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import write_files
from tests.transfer.sets.matlab.made_mat import cells, mat, records

PETS = {"annotations/trainval.txt": b"A_1 1 1 1\nb_c_2 2 1 1\n"}
DTD = {"labels/train1.txt": b"a/1.jpg\nb/2.jpg\n"}
SETS: dict[str, tuple[str, str | None, dict[str, bytes], int]] = {  # home, split, files, images
    "food-101": ("food-101", "train", {"meta/train.txt": b"a/1\nb/2\n"}, 2),
    "dtd": ("dtd/dtd", "train", DTD, 2),
    "oxford-iiit-pet": ("oxford-iiit-pet", "trainval", PETS, 2),
    "fgvc-aircraft": (
        "fgvc-aircraft-2013b",
        "test",
        {"data/variants.txt": b"a\nb\n", "data/images_variant_test.txt": b"1 b\n"},
        1,
    ),
    "flowers-102": ("flowers-102", "val", {"setid.mat": mat(valid=[1]), "imagelabels.mat": mat(labels=[102])}, 1),
    "stanford-cars": (
        "stanford_cars",
        "train",
        {
            "devkit/cars_meta.mat": mat(class_names=cells("a", "b")),
            "devkit/cars_train_annos.mat": mat(annotations=records(**{"class": [2], "fname": ["1.jpg"]})),
        },
        1,
    ),
    "svhn": ("svhn", "test", {"test_32x32.mat": mat(X=np.zeros((4, 4, 3, 2), np.uint8), y=[[10], [1]])}, 2),
    "gtsrb": ("gtsrb", "test", {"GT-final_test.csv": b"Filename;ClassId\n1.ppm;3\n"}, 1),
    "sun397": ("SUN397", None, {"ClassName.txt": b"/a/abbey\n/b/bar\n", "b/bar/sun_1.jpg": b""}, 1),
    "caltech-101": ("caltech101", None, {f"101_ObjectCategories/{each}/image_0001.jpg": b"" for each in "ab"}, 2),
    "caltech-256": ("caltech256", None, {f"256_ObjectCategories/00{each}.x/1.jpg": b"" for each in "12"}, 2),
    "eurosat": ("eurosat", None, {f"2750/{each}/1.jpg": b"" for each in "ab"}, 2),
}


@pytest.mark.parametrize("kind", [*SETS])
def test_a_set_is_recognised_in_its_folder_and_below_a_root(tmp_path: Path, kind: str) -> None:
    home, split, files, count = SETS[kind]
    folder = write_files(tmp_path / home, files)
    found = [open_set(str(place), split) for place in (folder, tmp_path / home.partition("/")[0], tmp_path)]
    found += [open_set(f"{kind}:{place}", split) for place in (folder, tmp_path)]
    assert {each.digest for each in found} == {found[0].digest} and len(found[0]) == count
    assert {each.name for each in found} == {f"{kind}-{split}" if split else kind}


def test_every_recognised_layout_has_a_case() -> None:
    assert {*SETS} == {*LAYOUTS} - {"fgvc-aircraft-family", "fgvc-aircraft-manufacturer", "pcam"}


def test_every_layout_has_one_digest_on_s3(tmp_path: Path, s3_bucket: str) -> None:
    for kind, (_, split, files, _) in SETS.items():
        store = Store(f"{s3_bucket}/{kind}")
        for path, data in files.items():
            store.put(path, data)
        here, there = open_set(str(write_files(tmp_path / kind, files)), split), open_set(store.url, split)
        assert here.digest == there.digest and here.read([0]) == there.read([0])


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
