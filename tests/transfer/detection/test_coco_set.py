"""Sets in COCO's format: what is read, what is left out and counted, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from tagmill.shards import InputError, Store
from tagmill.transfer.detection import coco_set
from tagmill.transfer.detection.coco_set import open_coco
from tagmill.transfer.detection.run_length import mask_of
from tests.shards.objectstore import s3_bucket, s3_service
from tests.transfer.detection.coco_files import annotation, content, picture, write_set

__all__ = ["s3_bucket", "s3_service"]  # fixtures


def test_images_boxes_and_classes_are_those_of_the_file(tmp_path: Path) -> None:
    file, images = write_set(tmp_path)
    found = open_coco(file, images, masks=True)
    assert [(each.name, each.synset) for each in found.stored.classes] == [("car", "n02958343"), ("dog", None)]
    assert [(each.key, each.labels) for each in found.stored.examples] == [("a.png", (0, 1)), ("b.png", ())]
    assert found.stored.read([0, 1]) == [picture(40, 30), picture(20, 20)] and not found.skipped
    car, dog = found.images[0].instances
    assert (car.label, car.box, car.area, car.crowd) == (0, (4.5, 6.0, 14.5, 14.0), 77.5, False)
    assert (dog.label, dog.box, dog.area, dog.crowd) == (1, (20.0, 10.0, 23.0, 14.0), 12.0, True)
    assert found.images[1] == (20, 20, ())
    coco = COCO(file)
    for instance, number in ((car, 1), (dog, 2)):
        assert instance.runs is not None
        assert (mask_of(instance.runs, 30, 40) == coco.annToMask(coco.anns[number])).all()
    assert mask_of(dog.runs or b"", 30, 40)[10:14, 20:23].sum() == 12


def test_a_set_in_a_bucket_is_that_of_a_folder(tmp_path: Path, s3_bucket: str) -> None:
    file, images = write_set(tmp_path)
    store = Store(f"{s3_bucket}/coco")
    for path in tmp_path.rglob("*.*"):
        store.put(str(path.relative_to(tmp_path)), path.read_bytes())
    there = open_coco(f"{store.url}/instances.json", f"{store.url}/images", masks=True)
    here = open_coco(file, images, masks=True)
    assert (there.images, there.stored.examples, there.stored.digest) == (
        here.images,
        here.stored.examples,
        here.stored.digest,
    )
    assert there.stored.read([1, 0]) == [picture(20, 20), picture(40, 30)]


def test_without_masks_segmentations_are_not_read(tmp_path: Path) -> None:
    rows = [annotation(1, [1, 1, 5, 5], segmentation="what")]
    found = open_coco(*write_set(tmp_path, content(annotations=rows)), masks=False)
    assert [each.runs for each in found.images[0].instances] == [None]
    assert found.images[0].instances[0].area == 25
    found = open_coco(*write_set(tmp_path, content(annotations=rows)), masks=True)
    assert not found.images[0].instances and found.skipped == {"a mask of an unknown kind": 1}


def test_boxes_are_cut_at_the_edges(tmp_path: Path) -> None:
    found = open_coco(*write_set(tmp_path, content(annotations=[annotation(1, [-3, 25, 10, 10])])), masks=False)
    assert found.images[0].instances[0].box == (0.0, 25.0, 7.0, 30.0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bbox": [5, 5, 0, 4]}, "a box without area"),
        ({"bbox": [5, 5, 4, -1]}, "a box without area"),
        ({"bbox": [40, 5, 4, 4]}, "a box outside the image, or too thin"),
        ({"bbox": [5, 5, 4]}, "a box that is not four numbers"),
        ({"bbox": [5, 5, 4, True]}, "a box that is not four numbers"),
        ({"bbox": [5, 5, 4, float("inf")]}, "a box that is not four numbers"),
        ({"bbox": [5, 5, 4, 10**400]}, "a box that is not four numbers"),
        ({"bbox": None}, "a box that is not four numbers"),
        ({"category_id": 4}, "of no category in the file"),
        ({"category_id": [3]}, "of no category in the file"),
        ({"image_id": 8}, "of no image in the file"),
        ({"image_id": {}}, "of no image in the file"),
        ({"iscrowd": 2}, "iscrowd is not 0 or 1"),
        ({"area": -1}, "an area that is not a number of 0 or more"),
        ({"id": 2}, "an id of another annotation"),
    ],
)
def test_annotations_that_are_not_valid_are_counted(changed: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = [annotation(2, [1, 1, 5, 5]), {**annotation(3, [2, 2, 5, 5]), **changed}]
    found = open_coco(*write_set(tmp_path, content(annotations=rows)), masks=False)
    assert found.skipped == {reason: 1}
    assert len(found.images[0].instances) == 1


@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("[" * 100_000, "not JSON"),
        ('{"images": ', "not JSON"),
        ("[]", "not a JSON object"),
        ({"images": {}}, "images is not a list"),
        (content(annotations=[1]), "annotations is not a list of objects"),
        (content(images=[]), "no images"),
        (content(categories=[]), "no categories"),
        (content(categories=[{"id": "3", "name": "car"}]), "a category without"),
        (content(categories=[{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]), "two categories"),
        (content(categories=[{"id": 3, "name": "a"}, {"id": 4, "name": "a"}]), "two categories"),
        (content(images=[{"id": 1, "file_name": "../a.png", "width": 4, "height": 4}]), "a name below the folder"),
        (content(images=[{"id": 1, "file_name": "/a.png", "width": 4, "height": 4}]), "a name below the folder"),
        (content(images=[{"id": 1, "file_name": "a\x1b.png", "width": 4, "height": 4}]), "a name below the folder"),
        (content(images=[{"id": 1, "file_name": "a.png", "width": 0, "height": 4}]), "no width and height"),
        (content(images=[{"id": 1, "file_name": "a.png", "width": 10**9, "height": 4}]), "no width and height"),
        (content(images=[{"id": 1, "file_name": "a.png", "width": 4, "height": 4}] * 2), "two images"),
    ],
)
def test_files_that_are_not_coco_are_refused_in_one_line(made: Any, what: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=what) as caught:
        open_coco(*write_set(tmp_path, made), masks=False)
    assert "instances_train2017" in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco_set, "MOST_JSON_BYTES", 100)
    with pytest.raises(InputError, match="a file of"):
        open_coco(*write_set(tmp_path), masks=False)


def test_the_digest_says_what_is_learned_and_not_where_it_is(tmp_path: Path) -> None:
    def digest(folder: str, made: Any = None, masks: bool = False) -> str:
        return open_coco(*write_set(tmp_path / folder, made), masks=masks).stored.digest

    first = digest("a")
    assert first == digest("b") == digest("c", json.dumps(content(), indent=3))
    moved = content()
    moved["annotations"][0]["bbox"][0] += 1
    assert len({first, digest("d", moved), digest("e", masks=True)}) == 3


def test_a_missing_image_is_none(tmp_path: Path) -> None:
    file, images = write_set(tmp_path)
    Path(images, "b.png").unlink()
    found = open_coco(file, images, masks=False)
    assert found.stored.read([1]) == [None] and len(found) == 2
