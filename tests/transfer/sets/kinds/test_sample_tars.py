"""WebDataset tars as labelled sets."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.sample_tars import class_names, sample_tar_set, tars_of
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.made import png, tar_of, write_files


def opened(folder: Path, *tars: bytes, classes: tuple[str, ...] = ()) -> StoredSet:
    files = SetFiles.below(str(write_files(folder, {f"{n}.tar": data for n, data in enumerate(tars)})))
    return sample_tar_set("made", files, tars_of(files), classes)


def samples(*labels: str, suffix: str = "cls", start: int = 0) -> dict[str, bytes]:
    found = dict[str, bytes]()
    for number, label in enumerate(labels, start):
        found |= {f"s{number:04d}.png": png(number), f"s{number:04d}.{suffix}": label.encode()}
    return found


def test_keys_bytes_and_labels_are_those_of_webdatasets_own_reader(tmp_path: Path) -> None:
    members = {
        "./a/0001.jpg": b"first",
        "./a/0001.cls": b"1\n",
        "__meta__/x.png": b"no sample",
        "a.b/1.JPG": b"second",
        "a.b/1.cls": b" 0",
        "a.b/1.txt": b"a caption",
        "nosuffix": b"?",
        "2.webp": b"third",
        "2.png": b"the image of this sample",
        "2.cls": b"2",
    }
    data = tar_of(members)
    stream = [{"url": "0.tar", "stream": io.BytesIO(data)}]
    theirs = [*group_by_keys(tar_file_expander(stream))]
    ours = opened(tmp_path, data)
    assert [each.key for each in ours.examples] == [f"0.tar/{each['__key__']}" for each in theirs]
    images = [next(each[kind] for kind in ("jpg", "png") if kind in each) for each in theirs]
    assert ours.read(range(len(ours))) == images
    assert [each.labels for each in ours.examples] == [(int(each["cls"]),) for each in theirs]


def test_tars_of_numbers_are_in_their_order(tmp_path: Path) -> None:
    files = SetFiles.below(
        str(write_files(tmp_path, {f"x-{n}.tar": b"" for n in (10, 9, 0)} | {"nshards.txt": b"3\n"}))
    )
    assert tars_of(files) == ["x-0.tar", "x-9.tar", "x-10.tar"]
    (tmp_path / "x-9.tar").unlink()
    with pytest.raises(InputError, match=r"2 tars, 3 by nshards\.txt"):
        tars_of(SetFiles.below(str(tmp_path)))


def test_classes_are_the_lines_of_classnames(tmp_path: Path) -> None:
    write_files(tmp_path, {"classnames.txt": "bear\ncrane bird\n\nfjäll\n".encode()})
    names = class_names(SetFiles.below(str(tmp_path)))
    assert names == ("bear", "crane bird", "fjäll")
    assert [each.name for each in opened(tmp_path, tar_of(samples("2", "0")), classes=names).classes] == [*names]
    write_files(tmp_path, {"classnames.txt": b"b\xe4r"})
    with pytest.raises(InputError, match="not UTF-8 at byte 1"):
        class_names(SetFiles.below(str(tmp_path)))


@pytest.mark.parametrize(
    ("suffix", "texts"),
    [
        ("cls", ["1", "0 2"]),
        ("cls.txt", ["1", "0 2"]),
        ("json", ["1", "[2, 0]"]),
        ("json", ['{"label": 1}', '{"labels": [0, 2], "width": 3}']),
        ("json", ['"crane"', '{"classes": ["oak", "bear"]}']),
    ],
)
def test_labels_of_every_form(tmp_path: Path, suffix: str, texts: list[str]) -> None:
    found = opened(tmp_path, tar_of(samples(*texts, suffix=suffix)), classes=("bear", "crane", "oak"))
    assert [each.labels for each in found.examples] == [(1,), (0, 2)]


def test_flags_of_classes_in_npy_files(tmp_path: Path) -> None:
    members = dict[str, bytes]()
    for number, flags in enumerate([[1, 0, 1], [0, 0, 0]]):
        file = io.BytesIO()
        np.save(file, np.array(flags, np.int64))
        members |= {f"{number}.png": b"x", f"{number}.npy": file.getvalue()}
    found = opened(tmp_path, tar_of(members), classes=("a", "b", "c"))
    assert [each.labels for each in found.examples] == [(0, 2), ()]


def test_samples_without_a_label_are_unlabelled_and_those_without_an_image_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = opened(tmp_path, tar_of(samples("0", "1") | {"t.png": b"x", "u.cls": b"0", "v.json": b"{}", "v.jpg": b"y"}))
    assert [each.labels for each in found.examples] == [(0,), (1,), (), ()]
    assert "1 samples without an image are left out" in caplog.text


def test_the_same_name_in_two_tars_is_two_images(tmp_path: Path) -> None:
    found = opened(tmp_path, tar_of(samples("0", "1")), tar_of(samples("1")))
    assert [each.key for each in found.examples] == ["0.tar/s0000", "0.tar/s0001", "1.tar/s0000"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (samples("0", "one"), r"no label: 'one' is no number .*0\.tar/s0001"),
        (samples("0", "-1"), "no label: '-1' is no number"),
        (samples("0", "1.0"), "'1.0' is no number"),
        (samples("0", "\u0663"), "is no number"),
        (samples("0", "9" * 5000), "is no number"),
        (samples("0", ""), "an empty label"),
        (samples("0", "3"), "label 3, which is none of 3 classes"),
        (samples("0", "[" * 100_000, suffix="json"), "no label"),
        (samples("0", "{", suffix="json"), "no label"),
        (samples("0", "true", suffix="json"), "the label True"),
        (samples("0", "1.5", suffix="json"), "the label 1.5"),
        (samples("0", "-1", suffix="json"), "the label -1"),
        (samples('"bear"', '"elk"', suffix="json"), "label 'elk', which is none"),
        (samples('"bear"', "1", suffix="json"), "some are numbers and some names"),
        (samples("0") | {"t.png": b"x", "t.cls": b"\xff"}, "no label"),
        (
            samples("0", "0") | {"../t.png": b"x", "../t.cls": b"0"},
            r"'\.\./t\.png': a name that leads out of its folder",
        ),
        (samples("0") | {"/etc/t.png": b"x"}, "a name that leads out of its folder"),
        (samples("0") | {"t\udcff.png": b"x", "t\udcff.cls": b"1"}, "a name that is not UTF-8"),
        ({"a.txt": b"a caption"}, "a set without images"),
    ],
)
def test_other_samples_are_errors(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(tmp_path, tar_of(members), classes=("bear", "crane", "oak"))


def test_links_and_members_that_are_too_long_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a link"):
        opened(tmp_path, tar_of({"a.png": b""}, tarfile.SYMTYPE))
    with pytest.raises(InputError, match="metadata of 40000000 bytes"):
        opened(tmp_path, tar_of({"a.png": b"x", "a.cls": bytes(40_000_000)}))


def test_two_members_of_one_name_are_an_error(tmp_path: Path) -> None:
    data = tar_of(samples("0"))
    twice = tar_of({"s0001.png": b"x"})[:1024] + tar_of({"s0001.PNG": b"y", "s0001.cls": b"1"})
    with pytest.raises(InputError, match="duplicate file name"):
        opened(tmp_path, data, twice)


def test_a_tar_that_was_cut_or_packed_is_an_error(tmp_path: Path) -> None:
    data = tar_of({"a.png": bytes(5000), "a.cls": b"0"})
    for cut in (700, 5700):
        with pytest.raises(InputError, match="ends before it does"):
            opened(tmp_path, data[:cut])
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.add(__file__, "a.png")
    with pytest.raises(InputError, match="a compressed tar"):
        opened(tmp_path, file.getvalue())


def test_names_that_mean_a_program_to_webdataset_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pipe:` in a URL runs a shell in webdataset's opener, and `.pyd` in a sample is unpickled by its decoder."""
    marker = tmp_path / "ran"
    monkeypatch.setattr(os, "popen", lambda *_: pytest.fail("a shell"))
    members = samples("0", "1") | {f"pipe:touch {marker.name}.png": png(3), f"pipe:touch {marker.name}.cls": b"0"}
    members |= {"p.png": png(4), "p.pyd": b"cos\nsystem\n(S'false'\ntR.", "p.cls": b"1"}
    tar = tmp_path / "set" / f"pipe:touch {marker.name}.tar"
    write_files(tar.parent, {tar.name: tar_of(members)})
    files = SetFiles.below(str(tar.parent))
    found = sample_tar_set("made", files, tars_of(files), ())
    assert len(found) == 4 and found.read([3]) == [png(4)]
    assert not marker.exists()


def test_a_field_of_a_json_that_is_null_is_passed_over(tmp_path: Path) -> None:
    texts: list[Any] = [{"cls": None, "label": 1}, {"label": None}]
    found = opened(tmp_path, tar_of(samples(*map(json.dumps, texts), suffix="json")), classes=("a", "b"))
    assert [each.labels for each in found.examples] == [(1,), ()]
