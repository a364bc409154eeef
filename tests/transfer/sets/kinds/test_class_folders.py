"""Image folders: a class per folder."""

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.class_folders import class_folder_set, classes_of_folders
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import class_folders, png, write_files


def test_the_set_is_the_one_that_torchvision_reads(tmp_path: Path) -> None:
    names = class_folders("bear", "crane bird", "Zebra") | {"bear/deep/1.JPG": png(99), "bear/README.txt": b"no image"}
    write_files(tmp_path, names)
    theirs = ImageFolder(tmp_path)
    ours = class_folder_set("made", SetFiles.below(str(tmp_path)))
    assert [each.name for each in ours.classes] == theirs.classes
    samples = {str(Path(path).relative_to(tmp_path)): label for path, label in theirs.samples}
    assert {each.key: each.labels[0] for each in ours.examples} == samples
    assert ours.read(range(len(ours))) == [names[each.key] for each in ours.examples]


def test_folders_named_by_synsets_keep_them_and_get_their_word() -> None:
    assert classes_of_folders(["n02132136", "n99999999", "oak"]) == [
        SetClass("brown bear", "n02132136"),
        SetClass("n99999999", "n99999999"),
        SetClass("oak"),
    ]


def test_files_that_are_no_images_are_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path, class_folders("a", "b") | {"README": b"", "a/x.txt": b"", "loose.png": png(1)})
    with caplog.at_level("INFO"):
        assert len(class_folder_set("made", SetFiles.below(str(tmp_path)))) == 4
    assert "3 files that are no images of a class are left out" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b"x"}, "images without class folders"),
        ({"a.txt": b"x"}, "no images"),
        ({"a/1.png": b"x"}, "a set with 1 class "),
        ({"a/1.txt": b"x", "b/2.txt": b"x"}, "a set without images"),
    ],
)
def test_other_folders_are_errors(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        class_folder_set("made", SetFiles.below(str(write_files(tmp_path, files))))


def test_a_folder_without_images_is_an_empty_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = SetFiles.below(str(write_files(tmp_path, class_folders("a", "c") | {"b/readme": b""})))
    assert [each.name for each in class_folder_set("made", files).classes] == ["a", "b", "c"]
    assert "1 of 3 classes have no image" in caplog.text
