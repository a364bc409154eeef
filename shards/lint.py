"""Reads whole shards and compares them with the manifest, the indexes and the tables: digests, members, names."""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Int32s
from tagmill.shards.checksum import crc32
from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.npy import npy_bytes
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.formats.placeholder_jpeg import is_placeholder
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.formats.shard_facts import make_facts
from tagmill.shards.formats.shard_index import TAR_BLOCK, dali_index, key_hex, padded
from tagmill.shards.input_table import num_inputs, read_inputs
from tagmill.shards.manifest import Corpus, Named, ShardEntry, read_named
from tagmill.shards.progress.counts import counted
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.reader import ShardReader, whole_index
from tagmill.shards.view import View

MEMBER = re.compile(r"[0-9a-f]{32}\.(jpg|json)")
NOT_OURS = "this tar was not written by tagmill or was altered: restore the shard"
LINT_BYTES = 1 << 20  # bytes of a stream that are read at a time


class Readable(Protocol):
    """A stream of bytes: an open file, or one that hashes what is read."""

    def read(self, size: int, /) -> bytes: ...


class _Hashed:
    """A stream that hashes what is read from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def tar_members(file: Readable, where: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yields the members of a shard's tar in order, with their data, streamed. Never extracts anything to the file
    system.

    Raises IntegrityError for a tar that this format cannot contain: a foreign member name (hence none that would escape
    a folder), a link, a device, an extended header, or an early end. (Python's tarfile takes a damaged header for the
    end.)
    """
    offset = 0
    while header := _exactly(file, TAR_BLOCK, where):
        if header == bytes(TAR_BLOCK):
            break
        try:
            member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise IntegrityError(f"not a tar header at {offset}: {error}", where, NOT_OURS) from error
        if member.type != tarfile.REGTYPE or not MEMBER.fullmatch(member.name):
            raise IntegrityError(f"a member that a shard cannot hold: {member.name!r}", where, NOT_OURS)
        if not 0 <= member.size < 1 << 32:
            raise IntegrityError(f"member {member.name} claims {member.size} bytes", where, NOT_OURS)
        member.offset, member.offset_data = offset, offset + TAR_BLOCK
        data = _exactly(file, padded(member.size), where)
        offset += TAR_BLOCK + len(data)
        yield member, data[: member.size]
    while rest := file.read(LINT_BYTES):
        if rest.strip(b"\0"):
            raise IntegrityError("bytes after the end of the tar", where, NOT_OURS)


def _exactly(file: Readable, size: int, where: str) -> bytes:
    """Reads `size` bytes of a stream, in blocks, so that a false size does not allocate the memory that it claims."""
    data = bytearray()
    while len(data) < size:
        block = file.read(min(LINT_BYTES, size - len(data)))
        if not block:
            raise IntegrityError("truncated tar: it ends early", where, NOT_OURS)
        data += block
    return bytes(data)


def lint_corpus(corpus: Corpus, progress: Progress) -> None:
    """Raises IntegrityError at the first difference in shards, views and tables of input files."""
    progress.stage("lint", len(corpus.entries))
    for entry in counted(progress, corpus.entries):
        lint_shard(corpus, entry)
    progress.stage("lint: views", len(corpus.file.views))
    for name in counted(progress, corpus.file.views):
        lint_view(corpus, name)
    lint_inputs(corpus)


def lint_shard(corpus: Corpus, entry: ShardEntry) -> None:
    """Raises IntegrityError at the first difference between a shard and its manifest line, indexes and table."""
    reader = ShardReader.of(corpus, entry)
    reader.check()
    if entry.name in corpus.takedown.unfinished:
        remedy = "run tagmill corpus takedown --purge again"
        raise IntegrityError("samples are being removed from it", reader.where, remedy)
    purged = np.zeros(entry.samples, np.bool_)
    purged[corpus.takedown.purged(entry.name)] = True
    shards = corpus.store.within("shards")
    index = whole_index(corpus.store, entry)
    _lint_table(read_named(shards, Named(f"{entry.name}.parquet", entry.table_sha256)), index, purged, reader.where)
    members: list[tuple[str, int, int, str]] = []
    with shards.open(f"{entry.name}.tar") as file:
        hashed = _Hashed(file)
        for number, (member, data) in enumerate(tar_members(hashed, reader.where)):
            record, kind = index[number // 2] if number // 2 < len(index) else None, ("jpg", "json")[number % 2]
            if record is None or member.name != f"{key_hex(record)}.{kind}":
                raise IntegrityError(f"member {member.name} is not where the index says", reader.where, "restore it")
            same = is_placeholder(data) if purged[number // 2] else crc32(data) == record["crc32"]
            if kind == "jpg" and (member.offset_data != record["offset"] or not same):
                what = "an image differs from the index"
                raise IntegrityError(what, f"{reader.where} {member.name}", "restore it")
            members.append((kind, member.offset_data, member.size, member.name))
    if len(members) != 2 * entry.samples or hashed.digest.hexdigest() != entry.tar_sha256:
        raise IntegrityError("altered: its sha256 is not the one of the manifest", reader.where, "restore the shard")
    dali = dali_index(zip(members[::2], members[1::2], strict=True), entry.samples)
    read_named(shards, Named(f"{entry.name}.idx", sha256_hex(dali)))
    read_named(shards, Named(f"{entry.name}_stats.json", sha256_hex(entry.stats())))


def _lint_table(data: bytes, index: npt.NDArray[Any], purged: npt.NDArray[np.bool_], where: str) -> None:
    """Compares table and index. The index keeps what a purged row has lost, so that offsets and sizes stay valid."""
    names = ["offset", "size", "width", "height", "crc32"]
    table = read_table(data, ["key", *names])
    same = table["key"].to_pylist() == [key_hex(record) for record in index]
    if not same or any(table[name].to_pylist() != np.where(purged, 0, index[name]).tolist() for name in names):
        raise IntegrityError("table and index do not describe the same samples", where, "restore them")


def lint_inputs(corpus: Corpus) -> None:
    """Raises IntegrityError unless the tables of input files have the bytes that were written."""
    for run, entry in enumerate(corpus.file.lineage):
        found = read_inputs(corpus, run)
        if found.num_rows != (num_inputs(entry) or 0):
            what = f"{found.num_rows} input files of run {run}, {num_inputs(entry)} expected"
            raise IntegrityError(what, f"{corpus.store.url.rstrip('/')}/corpus.json", "restore it")


def lint_view(corpus: Corpus, name: str) -> None:
    """Raises IntegrityError unless every file of a view has the bytes that were written."""
    view = View.open(corpus, name)
    num_labels = len(view.vocabulary)  # reading verifies its digest
    lines = [(shard.name, shard.split, shard.samples) for shard in view.shards]
    if lines != [(entry.name, entry.split, entry.samples) for entry in corpus.entries]:
        raise IntegrityError(f"view {name!r} has other shards than the corpus", view.store.url, "make the view again")
    for number, (entry, shard) in enumerate(zip(corpus.entries, view.shards, strict=True)):
        view.check(number)
        digests = {
            "labels": shard.labels_sha256,
            "runs": shard.runs_sha256,
            "extras": shard.extras_sha256,
            "facts": shard.facts_sha256,
        }
        for kind, digest in digests.items():
            if digest and sha256_hex(view.store.read(f"{shard.name}.{kind}.npy")) != digest:
                where = f"{view.store.url}/{shard.name}.{kind}.npy"
                raise IntegrityError("altered: its sha256 is not the one of the view", where, "make the view again")
        labels = view.labels(number, 0, shard.samples)
        if labels.min(initial=0) < -1 or labels.max(initial=-1) >= num_labels:
            where = f"{view.store.url}/{shard.name}.labels.npy"
            raise IntegrityError(f"a label outside the {num_labels} of the vocabulary", where, "make the view again")
        if shard.facts_sha256:
            _lint_facts(corpus, view, number, entry, labels)


def _lint_facts(corpus: Corpus, view: View, number: int, entry: ShardEntry, labels: Int32s) -> None:
    """Raises IntegrityError unless the facts of a shard are what its index, labels, runs and extras say."""
    shard = view.shards[number]
    runs = [view.run(number, copy, 0, count) for copy, count in enumerate(shard.counts)]
    facts = make_facts(whole_index(corpus.store, entry), labels, runs, view.fractional(number))
    if facts is None or sha256_hex(npy_bytes(facts)) != shard.facts_sha256:
        where = f"{view.store.url}/{shard.name}.facts.npy"
        raise IntegrityError("it differs from the shard's index, labels and runs", where, "make the view again")
