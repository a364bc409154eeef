"""The COCO set of the demo, as pycocotools reads it."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tagmill.demo.coco import annotation_of, make_coco
from tagmill.demo.concepts import CONCEPTS
from tagmill.shards.errors import ConfigError


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "coco"
    assert make_coco(folder, seed=3, train=16, val=4, side=64).made
    return folder


def test_pycocotools_reads_boxes_areas_and_masks_that_agree(coco: Path) -> None:
    read = {part: COCO(coco / "annotations" / f"instances_{part}.json") for part in ("train", "val")}
    assert len(read["train"].imgs) == 16 and len(read["val"].imgs) == 4
    assert not set(read["train"].imgs) & set(read["val"].imgs)
    for part, found in read.items():
        assert len(found.anns) == len(found.dataset["annotations"])  # no two have one id
        assert [each["name"] for each in found.cats.values()] == [each.name for each in CONCEPTS]
        for row in found.imgs.values():
            with Image.open(coco / part / row["file_name"]) as image:
                assert image.size == (row["width"], row["height"]) and max(image.size) == 64
        for each in found.anns.values():
            mask = found.annToMask(each)
            assert mask.sum() == each["area"] >= 16
            assert coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask))).tolist() == each["bbox"]
            assert isinstance(each["segmentation"]["counts"], list if each["iscrowd"] else str)
    crowds = [each for each in read["train"].anns.values() if each["iscrowd"]]
    assert crowds and len(read["train"].anns) > 16


def test_masks_of_an_image_do_not_overlap(coco: Path) -> None:
    found = COCO(coco / "annotations" / "instances_train.json")
    several = [each for each in found.imgToAnns.values() if len(each) > 1]
    assert several
    for each in several:
        assert sum(found.annToMask(annotation).astype(int) for annotation in each).max() == 1


def test_the_bytes_do_not_depend_on_processes_and_a_finished_set_is_found(coco: Path, tmp_path: Path) -> None:
    before = digests(coco)
    assert not make_coco(coco, seed=3, train=16, val=4, side=64).made
    make_coco(tmp_path / "b", seed=3, train=16, val=4, side=64, processes=2)
    assert digests(tmp_path / "b") == digests(coco) == before


def test_a_set_of_fewer_concepts_has_the_first_ones_only(tmp_path: Path) -> None:
    make_coco(tmp_path / "few", seed=3, train=8, val=1, side=48, concepts=2)
    found = json.loads((tmp_path / "few" / "annotations" / "instances_train.json").read_text())
    names = {each["id"]: each["name"] for each in found["categories"]}
    assert list(names.values()) == [each.name for each in CONCEPTS[:2]]
    assert {each["category_id"] for each in found["annotations"]} == set(names)
    assert make_coco(tmp_path / "few", seed=3, train=8, val=1, side=48, concepts=1).made


def test_foreign_files_and_invalid_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match="files that are not"):
        make_coco(tmp_path, train=1, val=1)
    with pytest.raises(ConfigError, match="no COCO set of 1 and 0 images"):
        make_coco(tmp_path / "new", train=1, val=0)
    for concepts in (0, len(CONCEPTS) + 1):
        with pytest.raises(ConfigError, match="give 1 to"):
            make_coco(tmp_path / "new", concepts=concepts)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(lambda mask: bool(mask.any())))
def test_an_annotation_is_its_mask_in_both_encodings(mask: np.ndarray) -> None:
    h, w = mask.shape
    for crowd in (False, True):
        made = json.loads(json.dumps(annotation_of(mask, crowd, 1, 2)))
        coco = COCO()
        coco.imgs = {1: {"height": h, "width": w}}
        assert (coco.annToMask(made) == mask).all()
        assert made["area"] == mask.sum() and made["iscrowd"] == crowd
        x, y, width, height = map(int, made["bbox"])
        assert mask.sum() == mask[y : y + height, x : x + width].sum()
        assert mask[y].any() and mask[y + height - 1].any() and mask[:, x].any() and mask[:, x + width - 1].any()
