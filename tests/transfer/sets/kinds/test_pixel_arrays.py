"""Arrays of pixels."""

import gzip
import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.datasets import load_digits

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds import pixel_arrays
from tagmill.transfer.sets.kinds.pixel_arrays import (
    array_set,
    is_number_row,
    npy_array,
    npy_set,
    npz_set,
    number_table_set,
    unpacked,
)

IMAGES = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
LABELS = np.array([0, 2, 1, 0])


def npz(**named: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def npy(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def decoded(data: bytes | None) -> np.ndarray[Any, Any]:
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)))


@settings(max_examples=40)
@given(arrays.arrays(np.uint8, st.tuples(st.just(3), st.integers(1, 9), st.integers(4, 9), st.sampled_from([1, 3]))))
def test_pixels_come_back_from_their_png_in_every_order_of_axes(images: np.ndarray[Any, Any]) -> None:
    labels = np.array([0, 1, 0])
    found = array_set("made", "here", images, labels)
    again = array_set("made", "there", images.transpose(0, 3, 1, 2), labels)
    assert again.digest == found.digest
    for ours, theirs, pixels in zip(found.read(range(3)), again.read(range(3)), images, strict=True):
        assert (decoded(ours) == np.squeeze(pixels, 2) if pixels.shape[2] == 1 else decoded(ours) == pixels).all()
        assert ours == theirs


@pytest.mark.parametrize("white", [1.0, 16.0, 255.0])
def test_numbers_are_scaled_to_bytes(white: float) -> None:
    images = np.array([[[0, white / 2], [white / 4, white]]] * 2)
    found = array_set("made", "here", images, np.array([0, 1]))
    assert decoded(found.read([1])[0]).tolist() == [[0, 128], [64, 255]]


def test_dark_bytes_are_taken_as_they_are() -> None:
    found = array_set("made", "here", IMAGES // 60, np.array([0, 1, 1, 1]))
    assert decoded(found.read([3])[0]).max() <= 1


def test_labels_in_a_column_as_floats_and_as_flags_of_classes() -> None:
    column = array_set("made", "here", IMAGES, LABELS[:, None].astype(np.float64))
    assert [each.labels for each in column.examples] == [(0,), (2,), (1,), (0,)]
    assert column.digest == array_set("made", "here", IMAGES, LABELS).digest
    flags = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]])
    assert [each.labels for each in array_set("made", "here", IMAGES, flags).examples] == [(), (0, 2), (1,), (2,)]


def test_parts_names_and_groups_of_an_npz_file() -> None:
    data = npz(
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES[:2],
        test_labels=LABELS[:2],
        test_groups=np.array(["a", "b"]),
        classes=np.array(["bear", "crane", "oak"]),
    )
    found = npz_set("made", "here", data, "test")
    assert [each.name for each in found.classes] == ["bear", "crane", "oak"]
    assert [each.group for each in found.examples] == ["a", "b"]
    with pytest.raises(InputError, match="several parts: test, train"):
        npz_set("made", "here", data, None)
    with pytest.raises(InputError, match="there are: test, train"):
        npz_set("made", "here", data, "val")
    assert len(npz_set("made", "here", npz(images=IMAGES, labels=LABELS), None)) == 4


def test_npy_files() -> None:
    found = npy_set("made", "here", npy(np.asfortranarray(IMAGES)), npy(LABELS))
    assert decoded(found.read([2])[0]).tolist() == IMAGES[2].tolist()


class Bomb:
    """Fails the test that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("unpickled",)


def test_a_pickle_is_refused_and_not_opened() -> None:
    objects = npy(np.array([Bomb()], object), allow_pickle=True)
    with pytest.raises(InputError, match="only a pickle can hold"):
        npy_array(objects, "here")
    with pytest.raises(InputError, match="only a pickle can hold"):
        npz_set("made", "here", npz(images=IMAGES, labels=np.array([Bomb()] * 4, object)), None)
    with pytest.raises(InputError, match=r"no \.npz file"):
        npz_set("made", "here", pickle.dumps(Bomb()), None)


@settings(max_examples=40)
@given(st.data())
def test_an_altered_file_is_an_array_or_an_error(data: st.DataObject) -> None:
    body = bytearray(npz(images=IMAGES, labels=LABELS))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        npz_set("made", "here", bytes(body[: data.draw(st.integers(0, len(body)))]), None)
    except InputError:
        return


def test_a_header_that_promises_more_than_there_is_takes_no_memory() -> None:
    head = npy(IMAGES).replace(b"(4, 5, 3)", b"(10**12,)")
    with pytest.raises(InputError, match=r"no \.npy array"):
        npy_array(head, "here")
    huge = npy(IMAGES).replace(b"(4, 5, 3), }   ", b"(4, 999999999), }")
    with pytest.raises(InputError, match=r"no \.npy array"):
        npy_array(huge, "here")


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(1 << 20))
    monkeypatch.setattr(pixel_arrays, "MOST_ARRAY_BYTES", 1 << 19)
    with pytest.raises(InputError, match="arrays of 1,048,576 bytes"):
        npz_set("made", "here", file.getvalue(), None)
    packed = gzip.compress(bytes(1000))
    assert unpacked(packed, 1001, "here") == bytes(1000)
    with pytest.raises(InputError, match="more than 999 bytes"):
        unpacked(packed, 999, "here")
    with pytest.raises(InputError, match="was cut"):
        unpacked(packed[:-9], 2000, "here")
    with pytest.raises(InputError, match="no gzip file"):
        unpacked(b"\x1f\x8b" + bytes(30), 2000, "here")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES[0], LABELS, "array of images of shape"),
        (np.zeros((4, 5, 3, 7), np.uint8), LABELS, "array of images of shape"),
        (np.zeros((4, 0, 3), np.uint8), LABELS, "array of images of shape"),
        (IMAGES.astype(np.int64) - 1, LABELS, "pixels from -1 to 58"),
        (IMAGES.astype(np.int64) + 200, LABELS, "pixels from 200 to 259"),
        (np.where(IMAGES == 3, np.nan, 0.5), LABELS, "pixels from nan"),
        (IMAGES.astype("U3"), LABELS, "pixels of type"),
        (IMAGES, LABELS[:3], "labels of shape"),
        (IMAGES, LABELS - 1, "labels from -1 to 1"),
        (IMAGES, LABELS * (1 << 40), "labels from 0 to"),
        (IMAGES, LABELS + 0.5, "not whole numbers"),
        (IMAGES, LABELS.astype("U3"), "labels of type"),
        (IMAGES, np.full((4, 2), 2), "not 0 or 1"),
        (IMAGES, np.zeros(4, np.int64), "a set with 1 class"),
        (IMAGES[:0], LABELS[:0], "a set without images"),
    ],
)
def test_other_arrays_are_errors(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        array_set("made", "here", images, labels)


def test_a_table_of_scikit_learns_digits() -> None:
    """Its rows end with the label; its first pixel is always 0."""
    digits = load_digits()
    text = "\n".join(",".join(f"{x:g}" for x in [*row, y]) for row, y in zip(digits.data, digits.target, strict=True))
    found = number_table_set("digits", "here", text)
    assert [each.labels[0] for each in found.examples] == digits.target.tolist()
    expected = np.rint(digits.images[1796] * 255 / 16)
    assert (decoded(found.read([1796])[0]) == expected).all()


def test_the_label_comes_first_last_or_by_its_name() -> None:
    rows = np.array([[3, 0, 5, 255, 0], [1, 0, 7, 9, 0]])
    first = number_table_set("t", "here", "\n".join(",".join(map(str, row)) for row in rows))
    named = number_table_set("t", "here", "label;a;b;c;d\n" + "\n".join(";".join(map(str, row)) for row in rows))
    last = number_table_set("t", "here", "\n".join(" ".join(map(str, [*row[1:], row[0]])) for row in rows))
    assert [each.labels for each in first.examples] == [(3,), (1,)]
    assert first.digest == named.digest == last.digest
    assert decoded(first.read([0])[0]).tolist() == [[0, 5], [255, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4,5\n2,2,3,4,6", "the label is not known"),
        ("0,2,3,4,5\n0,2,3,4,5", "the label is not known"),
        ("label,a,b\n1,2,3\n", "no square image"),
        ("label,a,b,c,d\n1,2,3,x,5\n", "no table of numbers"),
        ("label,a,b,c,d\n1,2,3\n1,2,3,4,5\n", "no table of numbers"),
        ("label,a,b,c,d\n", "without rows"),
    ],
)
def test_other_tables_of_numbers_are_errors(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        number_table_set("t", "here", text)


def test_rows_of_numbers() -> None:
    assert is_number_row("1,2,3.5,4,0\r") and is_number_row("1 2 3 4 5") and is_number_row("1;2;3;4;5")
    assert not is_number_row("a.png,1,2,3,4") and not is_number_row("1,2,3,4") and not is_number_row("")
