"""Sets of every kind by their path or URL, on this disk and on S3."""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tagmill.shards import ConfigError, Corpus, InputError, Store, TagmillError
from tagmill.transfer.sets.kinds.corpus_samples import CorpusSet
from tagmill.transfer.sets.open_set import KINDS, open_set
from tests.shards.corpora import make_corpus
from tests.transfer.sets.made import class_folders, png, tar_of, write_files


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


IMAGES, LABELS = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.array([0, 1, 1])
SAMPLES = {"a.png": png(1), "a.cls": b"1", "b.png": png(2), "b.cls": b"0"}
IDX = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, *range(8)])

# Kind, files, what is opened, split, name, classes, number of images.
SETS: dict[str, tuple[Mapping[str, bytes], str, str | None, str, list[str], int]] = {
    "folder": (class_folders("bear", "elk"), "", None, "made", ["bear", "elk"], 4),
    "part": (class_folders("bear", "elk", front="val/"), "", None, "made-val", ["bear", "elk"], 4),
    "table": (
        {"i/1.png": png(1), "i/2.png": png(2), "t.tsv": b"i/1.png\tbear\ni/2.png\telk\n"},
        "t.tsv",
        None,
        "t",
        ["bear", "elk"],
        2,
    ),
    "numbers": ({"n.csv": b"label,a,b,c,d\n0,1,2,3,4\n1,5,6,7,8\n"}, "n.csv", None, "n", ["0", "1"], 2),
    "npz": ({"x.npz": npz(val_images=IMAGES, val_labels=LABELS)}, "x.npz", "val", "x-val", ["0", "1"], 3),
    "tar": ({"x.tar": tar_of(SAMPLES)}, "x.tar", None, "x", ["0", "1"], 2),
    "wds": (
        {
            "classnames.txt": b"bear\nelk\n",
            "zeroshot_classification_templates.txt": b"a photo of a {c}",
            "test/nshards.txt": b"2",
            "test/0.tar": tar_of(SAMPLES),
            "test/1.tar": tar_of(SAMPLES),
        },
        "",
        "test",
        "made-test",
        ["bear", "elk"],
        4,
    ),
    "idx": (
        {"raw/t10k-images-idx3-ubyte": IDX, "raw/t10k-labels-idx1-ubyte": bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1])},
        "",
        "test",
        "made-test",
        ["0", "1"],
        2,
    ),
}


@pytest.mark.parametrize("kind", [*SETS])
def test_every_kind_is_recognised(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, name, split, called, classes, count = SETS[kind]
    folder = write_files(tmp_path / "made", files)
    found = open_set(str(folder / name), split)
    assert (found.name, [each.name for each in found.classes], len(found)) == (called, classes, count)
    assert None not in found.read(range(count))
    monkeypatch.chdir(tmp_path)
    for spec in (f"file://{folder}/{name}", f"made/{name}", f"./made/{name}"):
        assert open_set(spec, split).digest == found.digest


def test_every_kind_has_one_digest_and_the_same_bytes_on_s3(tmp_path: Path, s3_bucket: str) -> None:
    for kind, (files, name, split, *_) in SETS.items():
        folder, store = write_files(tmp_path / kind, files), Store(f"{s3_bucket}/{kind}")
        for path, data in files.items():
            store.put(path, data)
        here, there = open_set(str(folder / name), split), open_set(f"{store.url}/{name}".rstrip("/"), split)
        assert here.digest == there.digest and [*here.examples] == [*there.examples]
        assert here.read(range(len(here))) == there.read(range(len(there)))
    local = make_corpus(str(tmp_path / "corpus"), tmp_path / "a")
    remote = make_corpus(f"{s3_bucket}/corpus", tmp_path / "b")
    ours, theirs = open_set(local.store.url, "train"), open_set(remote.store.url, "train")
    assert ours.digest == theirs.digest and ours.read(range(len(ours))) == theirs.read(range(len(theirs)))


def test_a_corpus_and_its_views(tmp_path: Path) -> None:
    corpus: Corpus = make_corpus(str(tmp_path / "corpus"), tmp_path)
    found = open_set(corpus.store.url, "holdout")
    assert isinstance(found, CorpusSet) and found.name == "corpus-holdout"
    assert open_set(f"corpus:{corpus.store.url}#default", "holdout").digest == found.digest
    assert open_set(f"{corpus.store.url}#default", "holdout").digest == found.digest


@pytest.mark.parametrize("kind", [*KINDS])
def test_a_named_kind_is_not_guessed(tmp_path: Path, kind: str) -> None:
    """None of the kinds takes a folder that has nothing of it."""
    folder = write_files(tmp_path / "made", {"a.txt": b"x"})
    with pytest.raises(TagmillError, match=r"\(.*made.*\)"):
        open_set(f"{kind}:{folder}")


def test_imagenet_by_its_kind(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "val", class_folders("n01440764", "n01443537", each=1))
    assert len(open_set(f"imagenet:{folder}").classes) == 1000
    assert len(open_set(str(folder)).classes) == 2


@pytest.mark.parametrize(
    ("files", "spec", "split", "error", "message"),
    [
        ({}, "nothing", None, InputError, "no files here"),
        ({}, "nothing.csv", None, InputError, "no such file"),
        ({}, "nothing.npz", None, InputError, "no such file"),
        ({"a": b""}, "nothing.tar", None, InputError, "no such file"),
        ({"x.tar": b""}, "x.tar", "val", InputError, "a tar has no splits"),
        ({"x.npy": b""}, "x.npy", None, InputError, r"an \.npy file without labels"),
        ({"t.csv": b"b\xe4r"}, "t.csv", None, InputError, "text that is not UTF-8 at byte 1"),
        ({"t.csv": b"1,2,3,4,5\n"}, "t.csv", "val", InputError, "a table of numbers has no splits"),
        ({"c/data_batch_1": b""}, "", None, InputError, "Python pickles"),
        ({"a/1.txt": b""}, "", None, InputError, "a set without images"),
        (class_folders("a", "b", front="train/"), "", "val", InputError, "there are: train"),
    ],
)
def test_errors_say_what_was_found(
    tmp_path: Path, files: dict[str, bytes], spec: str, split: str | None, error: type[Exception], message: str
) -> None:
    write_files(tmp_path, files)
    with pytest.raises(error, match=message):
        open_set(str(tmp_path / spec), split)


def test_an_unknown_kind_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=re.escape("no kind of set 'coco' (coco:/data): there are: folder, table")):
        open_set("coco:/data")


def test_npy_files_in_a_folder(tmp_path: Path) -> None:
    for name, array in (("images", IMAGES), ("labels", LABELS)):
        np.save(tmp_path / f"{name}.npy", array)
    assert open_set(str(tmp_path)).digest == open_set(str(tmp_path / "images.npy")).digest
