"""Reads WebDataset tars as samples with byte ranges: headers and metadata are read, images are passed over.

The format is POSIX.1-1988 ustar with pax headers (POSIX.1-2001) and GNU long names. Samples are grouped as in
webdataset: a key is the name up to the first dot after its last slash, and consecutive members with one key are a
sample.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.decompress import LINE_BYTES
from tagmill.ingest.sources.inputs import IMAGE_SUFFIXES, Input
from tagmill.ingest.sources.locations import ByteRange
from tagmill.ingest.sources.samples import Listing, Sample, check_text, folder_of, text_suffixes
from tagmill.ingest.sources.stored.sparse_file import open_sparse
from tagmill.shards.errors import InputError
from tagmill.shards.formats.shard_index import TAR_BLOCK, padded

_SKIPPED = re.compile(r"__[^/]*__($|/)")  # members that webdataset skips
_PACKED = (b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ")
_MEND = "make it whole or take it out; `tar --list --file` shows what tar can read of it"
_PLAIN = frozenset([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE])
_WITHOUT_DATA = frozenset(
    [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
_KINDS = {tarfile.LNKTYPE: "a link", tarfile.SYMTYPE: "a link", tarfile.GNUTYPE_SPARSE: "a sparse file"}
_KINDS |= dict.fromkeys([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE], "a device")


@dataclass(frozen=True, slots=True)
class Member:
    """A member that is no folder: its byte range in the tar, the bytes of metadata, or what is wrong with it."""

    name: str
    offset: int
    size: int
    data: bytes | None = None
    wrong: str | None = None
    cut: bool = False  # the tar ends before the member does


@dataclass(slots=True)
class _PaxHeaders:
    """What extension headers say about the next member."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False


@dataclass
class TarMembers:
    """Iterates over the members of a tar of `length` bytes in order; reads the bytes of those for which `wanted` is true.

    Raises InputError at a broken header, because what follows it cannot be found. The last member of a truncated tar
    has `cut` set.
    """

    file: BinaryIO
    length: int
    where: str
    wanted: Callable[[str], bool]
    _headers: _PaxHeaders = field(default_factory=_PaxHeaders)

    def __iter__(self) -> Iterator[Member]:
        offset = 0
        while offset < self.length:
            block = self._read(offset, TAR_BLOCK)
            if len(block) < TAR_BLOCK:
                yield Member(f"@{offset}", offset, 0, cut=True)
                return
            if not block.strip(b"\0"):
                return
            info = self._header(block, offset)
            start = offset + TAR_BLOCK
            if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
                self._read_extension(info, start)
                offset = start + padded(info.size)
                continue
            if info.type == tarfile.GNUTYPE_LONGLINK:
                offset = start + padded(info.size)
                continue
            if info.type == tarfile.GNUTYPE_SPARSE:
                start = self._skip_sparse_map(block, start)
            headers = self._headers
            self._headers = _PaxHeaders()
            size = info.size if headers.size is None else headers.size
            size = 0 if info.type in _WITHOUT_DATA else size
            offset = start + padded(size)
            if info.type != tarfile.DIRTYPE:
                yield self._member(headers.name or info.name, start, size, info.type, headers.sparse)
            if start + size > self.length:
                return

    def _member(self, name: str, start: int, size: int, kind: bytes, sparse: bool) -> Member:
        if start + size > self.length:
            return Member(name, start, size, cut=True)
        wrong = "a sparse file" if sparse else None
        if kind not in _PLAIN:
            wrong = _KINDS.get(kind, f"of the unknown type {kind!r}")
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            wrong = "a name that leads out of its folder"
        data = None
        if wrong is None and self.wanted(name):
            wrong = check_text(size)
            data = None if wrong else self._read(start, size)
        return Member(name, start, size, data, wrong)

    def _read(self, offset: int, size: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(size)

    def _header(self, block: bytes, offset: int) -> tarfile.TarInfo:
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            if offset == 0 and block.startswith(_PACKED):
                what = "a compressed tar, in which images have no byte ranges"
                raise InputError(what, self.where, "unpack it to a plain .tar") from error
            raise InputError(f"no header of a tar member at byte {offset}: {error}", self.where, _MEND) from error
        if not 0 <= info.size < 1 << 62:
            raise InputError(f"a member of {info.size} bytes at byte {offset}", self.where, _MEND)
        return info

    def _read_extension(self, info: tarfile.TarInfo, start: int) -> None:
        """Reads a pax header or a GNU long name."""
        if info.size > LINE_BYTES:
            raise InputError(f"a header of {info.size} bytes at byte {start}", self.where, _MEND)
        data = self._read(start, info.size)
        if info.type == tarfile.GNUTYPE_LONGNAME:
            self._headers.name = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            return
        if info.type == tarfile.XGLTYPE:  # global header: no name or size of one member
            return
        try:
            for keyword, value in pax_records(data):
                if keyword == "path":
                    self._headers.name = value.rstrip("/")
                elif keyword == "size":
                    if not re.fullmatch("[0-9]{1,18}", value):
                        raise ValueError(value)
                    self._headers.size = int(value)
                elif keyword.startswith("GNU.sparse."):
                    self._headers.sparse = True
        except ValueError as error:
            raise InputError(f"a broken pax header at byte {start}", self.where, _MEND) from error

    def _skip_sparse_map(self, header: bytes, start: int) -> int:
        """Returns where the data of an old GNU sparse file begin: its map may continue in further blocks."""
        goes_on = header[482]
        while goes_on and start < self.length:
            block = self._read(start, TAR_BLOCK)
            goes_on = block[504] if len(block) == TAR_BLOCK else 0
            start += TAR_BLOCK
        return start


def pax_records(data: bytes) -> Iterator[tuple[str, str]]:
    r"""Yields (keyword, value) of the records of a pax header, "length keyword=value\\n" each. Raises ValueError."""
    while data:
        length, space, rest = data.partition(b" ")
        if not space or not re.fullmatch(b"[0-9]{1,9}", length):
            raise ValueError("no length")
        record = rest[: max(0, int(length) - len(length) - 1)]
        if int(length) > len(data) or not record.endswith(b"\n") or b"=" not in record:
            raise ValueError("no record")
        keyword, _, value = record[:-1].partition(b"=")
        yield keyword.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
        data = data[int(length) :]


def key_and_suffix(name: str) -> tuple[str, str] | None:
    """Returns a member's sample key and its suffix in lower case; None for members that belong to no sample."""
    folder, slash, last = name.rpartition("/")
    stem, dot, suffix = last.partition(".")
    if not dot or not stem or _SKIPPED.match(name):
        return None
    return folder + slash + stem, suffix.lower()


@dataclass(slots=True)
class _Group:
    """The part of a sample that is kept while its members pass; bounded, whatever their number."""

    key: str
    first: Member
    members: dict[str, Member] = field(default_factory=dict)  # images and metadata, by suffix
    refusal: tuple[Reason, str] | None = None

    def add(self, suffix: str, member: Member, text: bool) -> None:
        if member.cut:
            self.refuse(Reason.TRUNCATED, "the tar ends before it does")
        if not text and suffix not in IMAGE_SUFFIXES:
            return
        if suffix in self.members:
            self.refuse(Reason.BAD_MEMBER, f"{suffix}: two of one name")
        elif member.wrong is not None:
            self.refuse(Reason.BAD_MEMBER, f"{suffix}: {member.wrong}")
        self.members.setdefault(suffix, member)

    def refuse(self, reason: Reason, detail: str) -> None:
        self.refusal = self.refusal or (reason, detail)

    def sample(self, tar: str, url: str, length: int) -> Sample:
        kind = next((kind for kind in IMAGE_SUFFIXES if kind in self.members), None)
        picture = self.members[kind] if kind else self.first
        name = f"{tar}/{self.key.removeprefix('./')}" + (f".{kind}" if kind else "")
        texts = {suffix: each.data for suffix, each in self.members.items() if each.data is not None}
        reason, detail = self.refusal or ((None, None) if kind else (Reason.NO_PICTURE, None))
        location = ByteRange(url, length, picture.offset, picture.size, reason and reason.value, detail)
        return Sample(_utf8(name), location, texts, _utf8(folder_of(self.key)))


def _utf8(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def tar_samples(members: TarMembers, tar: str, listing: Listing) -> Iterator[Sample]:
    """Yields all samples of a tar, with or without an image. `tar` is its name below its input.

    Of several images the first suffix of IMAGE_SUFFIXES is taken. A link, a device or two members of one name in its
    place refuse the sample.
    """
    listing.bytes = members.length
    group: _Group | None = None
    for member in members:
        listing.add(member.name.encode("utf-8", "surrogateescape"), member.offset, member.size, member.data)
        found = key_and_suffix(member.name)
        if found is None and not member.cut:
            continue
        key, suffix = found or (member.name, "")
        if group is None or key != group.key:
            if group is not None:
                yield group.sample(tar, members.where, members.length)
            group = _Group(key, member)
        group.add(suffix, member, members.wanted(member.name))
    if group is not None:
        yield group.sample(tar, members.where, members.length)


def samples_of_tar(
    tar: Input, config: SourceOptions, listing: Listing, ahead: int = 1, patience: int | None = None
) -> Iterator[Sample]:
    """Yields the samples of a tar on any store, in tar order. `ahead` and `patience` are those of `open_sparse`."""
    suffixes = text_suffixes(config)

    def wanted(name: str) -> bool:
        found = key_and_suffix(name)
        return found is not None and found[1] in suffixes and found[1] not in IMAGE_SUFFIXES

    with open_sparse(tar.url, ahead, patience) as (file, length):
        yield from tar_samples(TarMembers(file, length, tar.url, wanted), tar.name, listing)
