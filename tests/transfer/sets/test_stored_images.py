"""Sets whose images are objects of a store: what is checked when one is opened, and when its images are read."""

from pathlib import Path

import pytest

from tagmill.shards import InputError, Store
from tagmill.transfer.sets import stored_images
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.stored_images import StoredImage, check_set, digest_of, is_image_name, stored_set
from tests.transfer.sets.made import write_files

CLASSES = (SetClass("bear"), SetClass("crane"))
EXAMPLES = [Example("a", (0,)), Example("b", (1,)), Example("c", (0,))]


def made(folder: Path) -> stored_images.StoredSet:
    write_files(folder, {"a": b"aaaa", "b": b"xx-bbbb-xx"})
    images = [StoredImage("a", 4), StoredImage("b", 4, 3), StoredImage("c", None)]
    return stored_set("made", Store(str(folder)), CLASSES, zip(EXAMPLES, images, strict=True))


def test_images_are_objects_or_byte_ranges_and_missing_ones_are_none(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.read([2, 1, 0, 1]) == [None, b"bbbb", b"aaaa", b"bbbb"]
    (tmp_path / "a").unlink()
    assert found.read([0]) == [None]


def test_an_image_that_changed_since_the_set_was_opened_is_an_error(tmp_path: Path) -> None:
    found = made(tmp_path)
    (tmp_path / "a").write_bytes(b"aaaaa")
    with pytest.raises(InputError, match="5 bytes, 4 when the set was opened"):
        found.read([0])


def test_a_huge_image_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stored_images, "MOST_IMAGE_BYTES", 3)
    assert made(tmp_path).read([0]) == [None]
    assert "a is left out: 4 bytes" in caplog.text


@pytest.mark.parametrize(
    ("classes", "examples", "message"),
    [
        (CLASSES, [], "a set without images"),
        (CLASSES[:1], [Example("a", (0,))], "a set with 1 class "),
        ((), [Example("a", ())], "a set with 0 classes"),
        ((*CLASSES, SetClass("bear")), EXAMPLES, "two classes of one name, 'bear'"),
        (CLASSES, [*EXAMPLES, Example("b", (0,))], "two images of one key, 'b'"),
        (CLASSES, [*EXAMPLES, Example("d", (2,))], "label 2, with 2 classes"),
        (CLASSES, [*EXAMPLES, Example("d", (-1,))], "label -1, with 2 classes"),
    ],
)
def test_what_is_no_set_is_an_error(classes: tuple[SetClass, ...], examples: list[Example], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_set(classes, examples, "here")


def test_two_classes_of_one_word_and_two_synsets_are_two(caplog: pytest.LogCaptureFixture) -> None:
    cranes = (SetClass("crane", "n02012849"), SetClass("crane", "n03126707"))
    check_set(cranes, [Example("a", (0,))], "here")
    assert "1 of 2 classes have no image" in caplog.text


def test_the_digest_says_everything_that_a_protocol_sees() -> None:
    sizes = ["4", "4", "None"]
    others = [
        digest_of((SetClass("bear", "n02131653"), CLASSES[1]), EXAMPLES, sizes),
        digest_of(CLASSES[::-1], EXAMPLES, sizes),
        digest_of(CLASSES, EXAMPLES[::-1], sizes),
        digest_of(CLASSES, [Example("a", (0,), "g"), *EXAMPLES[1:]], sizes),
        digest_of(CLASSES, [Example("a", (0, 1)), *EXAMPLES[1:]], sizes),
        digest_of(CLASSES, EXAMPLES, ["4", "5", "None"]),
        digest_of(CLASSES, EXAMPLES, iter(sizes)),
    ]
    assert len({*others}) == len(others)
    assert others[-1] == digest_of(CLASSES, EXAMPLES, sizes)


@pytest.mark.parametrize("name", ["a.jpg", "b/c.JPEG", "x.tar.webp"])
def test_names_of_images(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", ".a.jpg", "b/._a.jpg", "__MACOSX/a.jpg", ".cache/a.jpg", "a.mp4"])
def test_names_of_other_files(name: str) -> None:
    assert not is_image_name(name)
