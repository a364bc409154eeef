"""Food-101, beside torchvision's reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import Food101

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.food import food_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files

# Not in the order of the classes, as in the published file.
TRAIN = {"ramen": ["ramen/3", "ramen/1"], "apple_pie": ["apple_pie/7", "apple_pie/2"]}
TEST = {"apple_pie": ["apple_pie/9"], "ramen": ["ramen/4"]}


def lists(kind: str, **content: dict[str, list[str]]) -> dict[str, bytes]:
    texts = {
        part: json.dumps(classes) if kind == "json" else "\n".join(image for each in classes.values() for image in each)
        for part, classes in content.items()
    }
    return {f"meta/{part}.{kind}": text.encode() for part, text in texts.items()}


def made(folder: Path, files: dict[str, bytes]) -> Path:
    images = [f"images/{image}.jpg" for part in (TRAIN, TEST) for each in part.values() for image in each]
    return write_files(write_images(folder, images), files)


def opened(folder: Path, split: str | None = "train") -> StoredSet:
    return food_set("food-101", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str) -> None:
    folder = made(tmp_path / "food-101", lists("json", train=TRAIN, test=TEST) | lists("txt", train={}, test={}))
    (folder / "meta" / "classes.txt").write_text("apple_pie\nramen\n")
    other = Food101(str(tmp_path), split)
    found = opened(folder, split)
    assert ours(found) == theirs(other) and names(found) == other.classes
    assert found.name == f"food-101-{split}"


def test_lists_as_text_have_the_samples_of_those_as_json(tmp_path: Path) -> None:
    as_json = opened(made(tmp_path / "a", lists("json", train=TRAIN, test=TEST)))
    as_text = opened(made(tmp_path / "b", lists("txt", train=TRAIN, test=TEST)))
    assert [*as_text.examples] == [*as_json.examples] and as_text.digest == as_json.digest
    with pytest.raises(InputError, match="several parts: train, test"):
        opened(tmp_path / "a", None)


def test_a_class_of_the_other_list_keeps_its_place(tmp_path: Path) -> None:
    found = opened(made(tmp_path, lists("json", train={"ramen": ["ramen/3"]}, test=TEST)))
    assert names(found) == ["apple_pie", "ramen"] and found.examples[0].labels == (1,)


def test_two_parts_as_one(tmp_path: Path) -> None:
    found = opened(made(tmp_path, lists("json", train=TRAIN, test=TEST)), "train+test")
    assert len(found) == 6 and found.name == "food-101-train+test"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "not JSON"),
        ('{"a"', r"not JSON.*meta/train\.json"),
        ("[1]", "not a JSON object of classes"),
        ('{"a": 1}', "no list of images of 'a'"),
        ('{"a": ["a/1", 2]}', r"name is no text \(.*meta/train\.json, image 2 of 'a'"),
        ('{"a": ["../../../x"]}', r"not below the folder of the set, 'images/\.\./\.\..*image 1 of 'a'"),
        ('{"a": ["x\\u0000"]}', "not below the folder"),
        ('{"a": ["x\\ud800"]}', "not UTF-8"),
        ('{"a\\ud800": ["x"]}', "not UTF-8"),
        ('{"a": ["x", "x"]}', "the image 'images/x.jpg' again .*image 2 of 'a'.*: it is also in .*image 1 of"),
        (b"\xff", "text that is not UTF-8 at byte 0"),
    ],
)
def test_other_lists_are_errors(tmp_path: Path, content: Any, message: str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(InputError, match=message):
        opened(write_files(tmp_path, {"meta/train.json": data}))


def test_a_class_that_is_not_in_the_file_of_classes(tmp_path: Path) -> None:
    files = {"meta/train.txt": b"a/1\n\nb/2\n", "meta/classes.txt": b"a\nc\n"}
    with pytest.raises(InputError, match=r"the class 'b', which the set does not have \(.*train\.txt, line 3\)"):
        opened(write_files(tmp_path, files))
