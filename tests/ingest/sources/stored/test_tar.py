"""Tars as samples: webdataset's reader agrees, and a broken tar is rejected by sample or stops with its byte offset."""

import gzip
import io
import json
import struct
import tarfile
import tempfile
from pathlib import Path

import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.inputs import IMAGE_SUFFIXES, Input
from tagmill.ingest.sources.samples import Listing
from tagmill.ingest.sources.stored.tar import TarMembers, key_and_suffix, pax_records, samples_of_tar
from tagmill.shards.errors import InputError
from tests.ingest.tarmaker import bytes_of, config, samples, special, tar

FORMS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def fate(path: Path, **settings: object) -> dict[str, tuple[str | None, str | None]]:
    return {s.name: (s.location.reason, s.location.detail) for s in samples(path, **settings)}


FOLDERS = st.sampled_from(["", "a/", "a.b/", "./", "deep/er/", "ü/", "x" * 90 + "/" + "y" * 60 + "/", "z" * 120 + "/"])
STEMS = st.sampled_from(["0", "1", "x", "x_y", "__meta__", "__a", "ü", "n" * 110])
SUFFIXES = st.sampled_from(["jpg", "JPG", "json", "txt", "seg.png", "cls", "png", "Jpeg", ""])
NAMES = st.tuples(FOLDERS, STEMS, SUFFIXES).map(lambda p: f"{p[0]}{p[1]}.{p[2]}" if p[2] else p[0] + p[1])


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=12), st.sampled_from(FORMS[1:]))
@settings(max_examples=150)
def test_samples_are_those_of_webdatasets_reader(entries: list[tuple[str, bytes]], form: int) -> None:
    """By key and picture. Where it gives up, at two members of one name, ours are rejects."""
    with tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder, "00000.tar"), entries, form)
        mine = [s for s in samples(path) if s.location.detail is None or "two of one name" not in s.location.detail]
        theirs = []
        stream = webdataset.tariterators.tar_file_expander([{"url": "u", "stream": path.open("rb")}])
        for group in _adjacent(stream):
            kind = next((kind for kind in IMAGE_SUFFIXES if kind in group), None)
            theirs.append((group["__key__"], kind, group.get(kind)))
        found = []
        for sample in mine:
            name = sample.name.removeprefix("00000.tar/")
            if sample.location.reason == "no_picture":
                found.append((name, None, None))
            else:
                stem, _, kind = name.rpartition(".")
                found.append((stem, kind, bytes_of(sample)))
        assert found == [(key.removeprefix("./"), kind, data) for key, kind, data in theirs]


def _adjacent(members):  # type: ignore[no-untyped-def]
    """webdataset's groups, without those in which a picture or metadata comes twice."""
    batch: list[dict[str, object]] = []
    for member in members:
        if member == {}:
            continue
        split = webdataset.tariterators.base_plus_ext(member["fname"])
        if batch and split[0] is not None and split[0] != batch[-1]["key"]:
            yield from _group(batch)
            batch = []
        if split[0] is not None:
            batch.append({**member, "key": split[0], "ext": split[1].lower()})
    yield from _group(batch)


def _group(batch):  # type: ignore[no-untyped-def]
    kept = [member["ext"] for member in batch if member["ext"] in {*IMAGE_SUFFIXES, "json"}]
    if not batch or len(set(kept)) < len(kept):
        return
    unique = {member["ext"]: member for member in batch}.values()
    yield from webdataset.tariterators.group_by_keys([*unique, {}])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jpg", ("a", "jpg")),
        ("a/b.c/d.seg.PNG", ("a/b.c/d", "seg.png")),
        ("./0001.json", ("./0001", "json")),
        ("README", None),
        ("a.b/README", None),
        (".hidden.jpg", None),
        ("a/._0001.jpg", None),
        ("__meta__.json", ("__meta__", "json")),
        ("__meta__/x.jpg", None),
        ("__a.jpg", ("__a", "jpg")),
        ("", None),
    ],
)
def test_keys(name: str, wanted: tuple[str, str] | None) -> None:
    assert key_and_suffix(name) == wanted


def test_metadata_is_read_and_images_are_skipped(tmp_path: Path) -> None:
    picture = b"p" * 3_000_000
    meta = json.dumps({"url": "http://a/1", "caption": "#cat"}).encode()
    path = tar(tmp_path / "00000.tar", [("0.jpg", picture), ("0.json", meta), ("0.txt", b"a cat"), ("0.cls", b"7")])
    (sample,) = samples(path, caption_column="txt")
    assert sample.texts == {"json": meta, "txt": b"a cat"} and bytes_of(sample) == picture
    read: list[int] = []

    class Counted(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            read.append(len(data))
            return data

    with Counted(path) as file:
        found = list(TarMembers(file, path.stat().st_size, "x", lambda name: name.endswith("json")))  # type: ignore[arg-type]
    assert [member.name for member in found] == ["0.jpg", "0.json", "0.txt", "0.cls"]
    assert sum(read) == 5 * 512 + len(meta)


@pytest.mark.parametrize("form", FORMS)
def test_special_members_are_rejects_and_the_next_is_found(tmp_path: Path, form: int) -> None:
    entries = [
        special("folder", tarfile.DIRTYPE),
        ("0.jpg", b"zero"),
        special("1.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        ("1.json", b"{}"),
        special("2.jpg", tarfile.LNKTYPE, "0.jpg"),
        special("3.jpg", tarfile.CHRTYPE),
        special("4.jpg", tarfile.FIFOTYPE),
        ("/abs/5.jpg", b"five"),
        ("../6.jpg", b"six"),
        ("a/../7.jpg", b"seven"),
        ("8.jpg", b"eight"),
        ("8.jpg", b"again"),
        ("9.json", b"{}"),
        ("a.mask", b""),
        special("b.mask", tarfile.SYMTYPE, "/etc/passwd"),
        ("b.jpg", b"eleven"),
        ("c.jpg", b""),
        ("README", b"no sample"),
        ("d.jpg", b"last"),
    ]
    path = tar(tmp_path / "t.tar", entries, form)
    link, out = "jpg: a link", "jpg: a name that leads out of its folder"
    assert fate(path) == {
        "t.tar/0.jpg": (None, None),
        "t.tar/1.jpg": ("bad_member", link),
        "t.tar/2.jpg": ("bad_member", link),
        "t.tar/3.jpg": ("bad_member", "jpg: a device"),
        "t.tar/4.jpg": ("bad_member", "jpg: a device"),
        "t.tar//abs/5.jpg": ("bad_member", out),
        "t.tar/../6.jpg": ("bad_member", out),
        "t.tar/a/../7.jpg": ("bad_member", out),
        "t.tar/8.jpg": ("bad_member", "jpg: two of one name"),
        "t.tar/9": ("no_picture", None),
        "t.tar/a": ("no_picture", None),
        "t.tar/b.jpg": (None, None),
        "t.tar/c.jpg": (None, None),
        "t.tar/d.jpg": (None, None),
    }
    good = {s.name: bytes_of(s) for s in samples(path) if s.location.reason is None}
    assert good == {"t.tar/0.jpg": b"zero", "t.tar/b.jpg": b"eleven", "t.tar/c.jpg": b"", "t.tar/d.jpg": b"last"}


@pytest.mark.parametrize(
    ("json_text", "detail"),
    [
        (b"{", "its metadata is not JSON"),
        (b"[1]", "its metadata is no JSON object"),
        (b"[" * 99_999, "its metadata is not JSON"),
    ],
)
def test_metadata_that_cannot_be_read_refuses_its_sample(tmp_path: Path, json_text: bytes, detail: str) -> None:
    (sample,) = samples(tar(tmp_path / "t.tar", [("0.jpg", b"x"), ("0.json", json_text)]))
    assert sample.facts() == {} and (sample.location.reason, sample.location.detail) == ("bad_member", detail)


def test_metadata_without_end_is_not_read(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", [("0.jpg", b"x"), ("0.json", b" " * (LINE_BYTES + 1)), ("1.jpg", b"y")])
    limit = f"json: metadata of {LINE_BYTES + 1} bytes, {LINE_BYTES} are the limit"
    assert fate(path) == {"t.tar/0.jpg": ("bad_member", limit), "t.tar/1.jpg": (None, None)}


def sparse(name: str, extended: int) -> bytes:
    """A header of GNU's old sparse files, with `extended` further blocks of its map, and 512 bytes of data."""
    info = special(name, tarfile.GNUTYPE_SPARSE)
    info.size = 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482] = extended > 0
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    blocks = [bytearray(512) for _ in range(extended)]
    for block in blocks[:-1]:
        block[504] = 1
    return bytes(header) + b"".join(map(bytes, blocks)) + b"d" * 512


@pytest.mark.parametrize("extended", [0, 1, 3])
def test_sparse_files_are_rejects(tmp_path: Path, extended: int) -> None:
    whole = tar(tmp_path / "t.tar", [("1.jpg", b"one")]).read_bytes()
    (tmp_path / "t.tar").write_bytes(sparse("0.jpg", extended) + whole)
    assert fate(tmp_path / "t.tar") == {
        "t.tar/0.jpg": ("bad_member", "jpg: a sparse file"),
        "t.tar/1.jpg": (None, None),
    }
    info = tarfile.TarInfo("0.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    tar(tmp_path / "t.tar", [info, ("1.jpg", b"one")], tarfile.PAX_FORMAT)
    assert fate(tmp_path / "t.tar") == {
        "t.tar/0.jpg": ("bad_member", "jpg: a sparse file"),
        "t.tar/1.jpg": (None, None),
    }


def test_a_size_that_is_a_claim_is_a_tar_that_ends_too_early(tmp_path: Path) -> None:
    """100 GB in a header (ustar, base 256, pax): nothing of that size is made."""
    big = tarfile.TarInfo("1.jpg")
    big.size = 100 << 30
    for form in FORMS[1:]:
        whole = tar(tmp_path / "t.tar", [("0.jpg", b"zero")], form).read_bytes()[:1024]
        (tmp_path / "t.tar").write_bytes(whole + big.tobuf(form))
        assert fate(tmp_path / "t.tar") == {
            "t.tar/0.jpg": (None, None),
            "t.tar/1.jpg": ("truncated", "the tar ends before it does"),
        }


def test_a_tar_cut_anywhere_keeps_what_is_whole(tmp_path: Path) -> None:
    entries = [(f"{i}.{kind}", bytes([i]) * 700) for i in range(3) for kind in ("jpg", "txt")]
    whole = tar(tmp_path / "w.tar", entries).read_bytes()
    wanted = samples(tmp_path / "w.tar")
    path = tmp_path / "t.tar"
    for stop in range(1, 9 * 1024, 97):
        path.write_bytes(whole[:stop])
        if stop < 512:  # no tar at all
            assert [s.location.reason for s in samples(path)] == ["truncated"]
            continue
        found = samples(path)
        for number, sample in enumerate(found):
            if sample.location.reason is None:
                assert bytes_of(sample) == bytes_of(wanted[number]) and number <= stop // (6 * 512)
            else:
                assert number == len(found) - 1 and sample.location.reason == "truncated"
        assert len(found) >= min(3, stop // (6 * 512))


def test_the_picture_in_front_of_a_cut_one_is_the_last_sample(tmp_path: Path) -> None:
    whole = tar(tmp_path / "t.tar", [("0.jpg", b"0"), ("0.json", b"{}"), ("1.jpg", b"1" * 600), ("1.json", b"{}")])
    data = whole.read_bytes()
    whole.write_bytes(data[: 4 * 512 + 512 + 100])
    assert [reason for reason, _ in fate(whole).values()] == [None, "truncated"]


BROKEN = {
    "checksum": lambda data: data[:1024] + b"garbage" + data[1031:],
    "negative size": lambda data: data[:1024] + negative() + data[1536:],
    "pax": lambda data: data[:1024] + pax(b"99 path=x\n") + data[1024:],
    "pax loop": lambda data: data[:1024] + pax(b"0 a=\n" * 3) + data[1024:],
    "pax size": lambda data: data[:1024] + pax(b"12 size=1_0\n") + data[1024:],
    "pax negative": lambda data: data[:1024] + pax(b"11 size=-1\n") + data[1024:],
    "long pax": lambda data: data[:1024] + pax(b"", 1 << 30) + data[1024:],
}


def negative() -> bytes:
    header = bytearray(tarfile.TarInfo("1.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" + struct.pack(">11s", b"\xff" * 11)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def pax(data: bytes, size: int | None = None) -> bytes:
    info = special("pax", tarfile.XHDTYPE)
    info.size = len(data) if size is None else size
    return info.tobuf(tarfile.GNU_FORMAT) + data.ljust(512, b"\0")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_header_is_an_error_with_file_offset_and_remedy(tmp_path: Path, kind: str) -> None:
    """What follows it cannot be found; Python's own reader would end there in silence."""
    path = tar(tmp_path / "t.tar", [("0.jpg", b"zero"), ("1.jpg", b"one")])
    path.write_bytes(BROKEN[kind](path.read_bytes()))
    with pytest.raises(InputError, match=r"at byte 1(024|536)") as caught:
        samples(path)
    assert caught.value.where == str(path) and "take it out" in caught.value.remedy


@pytest.mark.parametrize("data", [b"\xff\xd8\xff" * 400, b"x" * 600])
def test_other_files_are_errors(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.tar").write_bytes(data)
    with pytest.raises(InputError, match="no header of a tar member at byte 0"):
        samples(tmp_path / "t.tar")


def test_a_compressed_tar_is_detected_by_its_bytes(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", [(f"{i}.jpg", bytes([i]) * 999) for i in range(99)])
    path.write_bytes(gzip.compress(path.read_bytes(), 1).ljust(512))
    with pytest.raises(InputError, match=r"compressed tar.*unpack it"):
        samples(path)


@given(st.binary(max_size=4000), st.integers(0, 5000))
@settings(max_examples=200)
def test_altered_bytes_are_samples_or_an_input_error(noise: bytes, place: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder, "t.tar"), [(f"{i}.jpg", b"x" * 600) for i in range(4)], tarfile.PAX_FORMAT)
        data = path.read_bytes()
        path.write_bytes(data[:place] + noise + data[place + len(noise) :])
        try:
            found = samples(path)
        except InputError:
            return
        for sample in found:
            assert sample.location.reason or sample.location.offset + sample.location.size <= path.stat().st_size


def test_pax_records() -> None:
    good = "17 path=a=b c/ü\n12 size=123\n".encode()
    assert list(pax_records(good)) == [("path", "a=b c/ü"), ("size", "123")]
    for bad in (b"x", b"5 a=b", b"-1 a=b\n", b"99 a=b\n", b"4 a\n", b"0 =\n"):
        with pytest.raises(ValueError, match="no "):
            list(pax_records(bad))


def test_millions_of_members_of_one_key_are_one_bounded_sample(tmp_path: Path) -> None:
    path = tar(tmp_path / "t.tar", [("0.jpg", b"x"), *((f"0.{i}", b"") for i in range(3000)), ("0.jpg", b"y")])
    (sample,) = samples(path)
    assert sample.location.detail == "jpg: two of one name" and sample.texts == {}


def test_the_digest_is_of_names_places_and_metadata(tmp_path: Path) -> None:
    def seen(*entries: tuple[str, bytes]) -> tuple[int, str]:
        path, listing = tar(tmp_path / "t.tar", entries), Listing()
        list(samples_of_tar(Input(str(path), "tars", "t.tar"), config(), listing))
        return listing.bytes, listing.sha256

    first = seen(("0.jpg", b"ab"), ("0.json", b"{}"))
    assert first == seen(("0.jpg", b"cd"), ("0.json", b"{}")) and first[0] == 10_240
    others = [seen(("0.jpg", b"ab"), ("0.json", b"[]")), seen(("1.jpg", b"ab"), ("0.json", b"{}"))]
    others += [seen(("0.jpg", b"abc"), ("0.json", b"{}")), seen(("0.json", b"{}"), ("0.jpg", b"ab"))]
    assert len({first[1], *(other[1] for other in others)}) == 5


def test_a_tars_name_is_not_utf8(tmp_path: Path) -> None:
    (sample,) = samples(tar(tmp_path / "t.tar", [("\udcff.jpg", b"x")], tarfile.GNU_FORMAT))
    assert sample.name == "t.tar/\ufffd.jpg" and sample.location.reason is None and bytes_of(sample) == b"x"
