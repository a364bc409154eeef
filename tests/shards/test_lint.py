"""Tests that lint finds every altered byte, and that no tar member leaves its folder."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.npy import npy_bytes
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_index import INDEX
from tagmill.shards.lint import lint_shard, lint_view, tar_members
from tagmill.shards.manifest import Corpus, ShardEntry
from tagmill.shards.view import View
from tests.shards.corpora import make_corpus, sample

NAMES = ["000000", "000001", "holdout-000000"]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", (2, 3), (1,))


def lint(corpus: Corpus) -> None:
    for entry in corpus.entries:
        lint_shard(corpus, entry)
    for name in corpus.file.views:
        lint_view(corpus, name)


def refused(corpus: Corpus) -> str:
    with pytest.raises(IntegrityError) as caught:
        lint(corpus)
    assert "\n" not in str(caught.value) and caught.value.remedy
    return str(caught.value)


def test_an_unaltered_corpus_passes(corpus: Corpus) -> None:
    lint(corpus)


@pytest.mark.parametrize("suffix", [".tar", ".npy", ".idx", ".parquet", "_stats.json"])
@pytest.mark.parametrize("name", NAMES)
def test_one_altered_byte_anywhere_in_a_shard_is_found(corpus: Corpus, name: str, suffix: str) -> None:
    path = f"shards/{name}{suffix}"
    data = bytearray(corpus.store.read(path))
    entry = corpus.entries[NAMES.index(name)]
    for place in np.linspace(0, len(data) - 1, 60).astype(int):
        bit = 1 << place % 8
        data[place] ^= bit
        Path(corpus.store.url, path).write_bytes(data)
        with pytest.raises(IntegrityError):
            lint_shard(corpus, entry)
        data[place] ^= bit


@pytest.mark.parametrize("kind", ["labels", "runs", "extras", "facts"])
def test_one_altered_byte_anywhere_in_a_view_is_found(corpus: Corpus, kind: str) -> None:
    view = View.open(corpus, "default")
    path = Path(corpus.store.url, "views/default", view.store.url.rpartition("/")[2], f"000001.{kind}.npy")
    data = bytearray(path.read_bytes())
    for place in range(len(data)):
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(IntegrityError, match=rf"000001\.{kind}\.npy"):
            lint_view(corpus, "default")
        data[place] ^= 1


@pytest.mark.parametrize("suffix", [".tar", ".npy", ".idx", ".parquet", "_stats.json"])
def test_a_missing_or_truncated_file_is_found(corpus: Corpus, suffix: str) -> None:
    path = f"shards/000001{suffix}"
    whole = corpus.store.read(path)
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        corpus.store.put(path, whole[:size])
        assert "000001" in refused(corpus)
    corpus.store.delete(path)
    assert "missing" in refused(corpus)


def cut_at_each_member(whole: bytes) -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        return [whole[: member.offset] for member in tar.getmembers()]


def with_line(corpus: Corpus, tar: bytes) -> tuple[Corpus, ShardEntry]:
    """Replaces the tar of the second shard, with a manifest line that agrees with it."""
    corpus.store.put("shards/000001.tar", tar)
    return corpus, replace(corpus.entries[1], bytes=len(tar), tar_sha256=sha256_hex(tar))


@pytest.mark.parametrize("end", [b"", bytes(512), bytes(1024), bytes(10240)], ids=len)
def test_a_tar_cut_between_members_is_found_even_if_the_manifest_agrees(corpus: Corpus, end: bytes) -> None:
    whole = corpus.store.read("shards/000001.tar")
    for part in cut_at_each_member(whole):
        with pytest.raises(IntegrityError):
            lint_shard(*with_line(corpus, part + end))
    lint_shard(*with_line(corpus, whole))


def test_a_damaged_header_is_not_taken_for_the_end(corpus: Corpus) -> None:
    whole = bytearray(corpus.store.read("shards/000001.tar"))
    with tarfile.open(fileobj=io.BytesIO(bytes(whole))) as tar:
        second = tar.getmembers()[2].offset
    whole[second + 150] ^= 1
    with pytest.raises(IntegrityError, match=f"not a tar header at {second}"):
        list(tar_members(io.BytesIO(bytes(whole)), "here"))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


KEY = sample(2).record.key
BAD = {
    "parent": member("../x.jpg"),
    "parent with key": member(f"../{KEY}.jpg"),
    "absolute": member("/abs.jpg"),
    "absolute with key": member(f"/{KEY}.jpg"),
    "folder": member(f"a/{KEY}.jpg"),
    "newline": member(f"{KEY}.jpg\n"),
    "other kind": member(f"{KEY}.png"),
    "upper case": member(f"{KEY.upper()}.jpg"),
    "symlink": member(f"{KEY}.jpg", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": member(f"{KEY}.jpg", tarfile.LNKTYPE, "../x"),
    "character device": member(f"{KEY}.jpg", tarfile.CHRTYPE),
    "block device": member(f"{KEY}.jpg", tarfile.BLKTYPE),
    "pipe": member(f"{KEY}.jpg", tarfile.FIFOTYPE),
    "directory": member(f"{KEY}.jpg", tarfile.DIRTYPE),
    "long name": member("x" * 300),
    "beyond ASCII": member("ä.jpg"),
}


FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize(
    ("bad", "form"),
    [(bad, form) for bad in BAD for form in FORMS if (bad, form) != ("long name", tarfile.USTAR_FORMAT)],
)
def test_members_that_a_shard_cannot_hold(corpus: Corpus, tmp_path: Path, bad: str, form: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        tar.addfile(BAD[bad])
    before = set(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError) as caught:
        list(tar_members(io.BytesIO(file.getvalue()), "here"))
    assert "\n" not in str(caught.value) and "(here)" in str(caught.value)
    with pytest.raises(IntegrityError):
        lint_shard(*with_line(corpus, file.getvalue()))
    assert set(tmp_path.rglob("*")) == before


def test_members_have_their_offsets_and_data(corpus: Corpus) -> None:
    whole = corpus.store.read("shards/000001.tar")
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        expected = [(m.name, m.offset, m.offset_data, m.size) for m in tar.getmembers()]
    found = list(tar_members(io.BytesIO(whole), "here"))
    assert [(m.name, m.offset, m.offset_data, m.size) for m, _ in found] == expected
    assert [data for _, data in found[::2]] == [sample(number).jpeg for number in (2, 3, 4)]
    assert list(tar_members(io.BytesIO(bytes(1024)), "here")) == []


def test_a_member_that_claims_too_much_allocates_no_memory(corpus: Corpus) -> None:
    for size in ((1 << 32) - 1, 1 << 60):
        header = member(f"{KEY}.jpg", size=size).tobuf(tarfile.GNU_FORMAT)
        with pytest.raises(IntegrityError, match=r"ends early|claims"):
            list(tar_members(io.BytesIO(header + bytes(512)), "here"))


def test_bytes_after_the_end_are_found(corpus: Corpus) -> None:
    whole = corpus.store.read("shards/000001.tar")
    with pytest.raises(IntegrityError, match="after the end"):
        list(tar_members(io.BytesIO(whole + b"x"), "here"))


def test_an_index_with_a_matching_digest_but_other_content_is_found(corpus: Corpus) -> None:
    index = np.load(io.BytesIO(corpus.store.read("shards/000001.npy"))).copy()
    for field in ("offset", "size", "width", "height", "crc32", "key"):
        other = index.copy()
        other[field][1] += 1
        data = npy_bytes(other)
        corpus.store.put("shards/000001.npy", data)
        with pytest.raises(IntegrityError, match="table and index"):
            lint_shard(corpus, replace(corpus.entries[1], index_sha256=sha256_hex(data)))
    for data in (npy_bytes(index[:2]), npy_bytes(index["offset"]), npy_bytes(np.zeros((3, 1), INDEX))):
        corpus.store.put("shards/000001.npy", data)
        with pytest.raises(IntegrityError):
            lint_shard(corpus, replace(corpus.entries[1], index_sha256=sha256_hex(data)))


@pytest.mark.parametrize("field", ["ordinal", "offset", "size", "width", "height", "crc32", "key", "labels"])
def test_facts_with_a_matching_digest_but_other_content_are_found(corpus: Corpus, field: str) -> None:
    view = View.open(corpus, "default")
    path = f"views/default/{view.store.url.rpartition('/')[2]}/000001.facts.npy"
    facts = np.load(io.BytesIO(corpus.store.read(path))).copy()
    facts[field][0] += 1
    corpus.store.put(path, data := npy_bytes(facts))
    lines = [replace(line, facts_sha256=sha256_hex(data)) if line.name == "000001" else line for line in view.shards]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(IntegrityError, match=r"differs.*000001.*facts"):
        patch.setattr(View, "shards", lines)
        lint_view(corpus, "default")


def test_a_view_with_other_shards_or_labels_is_found(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = View.open(corpus, "default").shards
    for wrong in (lines[:2], [lines[1], lines[0], lines[2]], [replace(lines[0], split="holdout"), *lines[1:]]):
        monkeypatch.setattr(View, "shards", wrong)
        with pytest.raises(IntegrityError, match="other shards"):
            lint_view(corpus, "default")
    monkeypatch.undo()
    monkeypatch.setattr("tagmill.shards.vocabulary.Vocabulary.__len__", lambda self: 2)
    with pytest.raises(IntegrityError, match="outside the 2"):
        lint_view(corpus, "default")
