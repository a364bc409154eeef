"""Reads a folder or bucket prefix of images as samples: listed by pages, sorted on disk, never held in memory whole."""

import heapq
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, islice
from typing import IO

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.reasons import Reason
from tagmill.ingest.sources.inputs import IMAGE_SUFFIXES, METADATA, Input
from tagmill.ingest.sources.locations import ByteRange
from tagmill.ingest.sources.samples import Listing, Sample, check_text, folder_of, text_suffixes
from tagmill.ingest.sources.stored.hf_imagefolder import MARK, metadata_entries
from tagmill.shards.errors import IntegrityError
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

RUN_BYTES = 1 << 26  # bytes of names that are sorted in memory
MAX_RUNS = 128  # most sorted runs on disk, each an open file
FOLDER_READERS = 32  # metadata files that are read concurrently
_AHEAD = 1024  # images whose metadata is read ahead
_ENTRY = struct.Struct("<IIq")  # bytes of stem, bytes of suffix, bytes of the file


def samples_of_folder(folder: Input, config: IngestConfig, listing: Listing) -> Iterator[Sample]:
    """Yields every file with an image suffix, sorted by path without suffix and then by suffix, as bytes.

    So a folder has one order on every store. Files and folders whose name begins with a dot, and symbolic links, are
    skipped. Metadata is a file of the same path with another suffix: `.json`, or one that is named as a column.
    """
    texts, store = text_suffixes(config), Store(folder.url)
    metadata: list[str] = []  # filled while listing
    rows = (entry for found in [metadata] for entry in metadata_entries(folder.url, found, config))
    entries = in_order(chain(_select(store, texts, metadata), rows), config.spool)
    with DaemonPool(FOLDER_READERS, "beside") as readers:
        stems = groupby(entries, lambda entry: entry[0])
        groups = ([*map(_decoded, group)] for _, group in stems)
        while some := list(islice(groups, _AHEAD)):
            files = [[entry for entry in group if MARK not in entry[1]] for group in some]
            asked = [readers.submit(_texts, store, group) if _has_texts(group) else None for group in files]
            for group, beside in zip(some, asked, strict=True):
                yield from _samples(folder.url, group, beside.result() if beside else ({}, ""), listing)


def _samples(
    folder: str, group: list[tuple[str, str, int]], beside: tuple[dict[str, bytes], str], listing: Listing
) -> Iterator[Sample]:
    """Yields the images of one stem, once for every row that names them; a row without its image is a sample, too."""
    found, wrong = beside
    rows: dict[str, list[bytes]] = {}
    for stem, suffix, _ in group:
        if MARK in suffix:
            picture, _, facts = suffix.partition(MARK)
            rows.setdefault(picture, []).append(facts.encode())
            listing.add(os.fsencode(f"{stem}.{picture}"), 0, 0, facts.encode())
    for stem, suffix, size in group:
        name = f"{stem}.{suffix}"
        if MARK in suffix:
            continue
        listing.add(os.fsencode(name), 0, size, found.get(suffix))
        listing.bytes += size
        if suffix.lower() in IMAGE_SUFFIXES:
            for row in rows.pop(suffix, [b""]):
                sample = _sample(folder, name, size, found | ({"json": row} if row else {}))
                if wrong:
                    sample.refuse(wrong)
                yield sample
    for suffix, missing in rows.items():
        for row in missing:
            sample = _sample(folder, f"{group[0][0]}.{suffix}", 0, {"json": row})
            sample.refuse("metadata names it, and no picture of this name is there", Reason.NOT_FOUND)
            yield sample


def has_pictures(url: str) -> bool:
    """Returns whether the folder contains an image, without listing all of it."""
    return any(name.rpartition(".")[2].lower() in IMAGE_SUFFIXES for name, _ in Store(url).listing())


def _select(store: Store, texts: frozenset[str], metadata: list[str]) -> Iterator[tuple[bytes, bytes, int]]:
    """Yields (path without suffix, suffix, bytes) of images and their metadata; names of METADATA go to `metadata`."""
    for name, size in store.listing():
        stem, dot, suffix = name.rpartition(".")
        if not dot or not stem or "/" in suffix or name.startswith(".") or "/." in name:
            continue
        if name.rpartition("/")[2] in METADATA:
            metadata.append(name)
        elif suffix.lower() in IMAGE_SUFFIXES or suffix in texts:
            yield os.fsencode(stem), os.fsencode(suffix), size


def _decoded(entry: tuple[bytes, bytes, int]) -> tuple[str, str, int]:
    return os.fsdecode(entry[0]), os.fsdecode(entry[1]), entry[2]


def _has_texts(group: list[tuple[str, str, int]]) -> bool:
    """Returns whether a stem has an image and metadata beside it."""
    pictures = sum(suffix.lower() in IMAGE_SUFFIXES for _, suffix, _ in group)
    return 0 < pictures < len(group)


def _texts(store: Store, group: list[tuple[str, str, int]]) -> tuple[dict[str, bytes], str]:
    """Reads the metadata of one stem by suffix. Also returns what is wrong with it, or ""."""
    found: dict[str, bytes] = {}
    for stem, suffix, size in group:
        if suffix.lower() in IMAGE_SUFFIXES:
            continue
        if wrong := check_text(size):
            return found, wrong
        try:
            found[suffix] = store.read_range(f"{stem}.{suffix}", 0, size, size)
        except (FileNotFoundError, IntegrityError):
            return found, "its metadata changed while it was read"
    return found, ""


def _sample(folder: str, name: str, size: int, texts: dict[str, bytes]) -> Sample:
    shown = os.fsencode(name).decode("utf-8", "replace")
    sample = Sample(shown, ByteRange(f"{folder}/{shown}", size, 0, size), dict(texts), folder_of(shown))
    if shown != name or "\0" in name or ".." in name.split("/"):
        sample.refuse("a name that cannot be read from its store", Reason.BAD_MEMBER)
    return sample


def in_order(entries: Iterable[tuple[bytes, bytes, int]], spool: str | None) -> Iterator[tuple[bytes, bytes, int]]:
    """Sorts entries with at most RUN_BYTES in memory; the others wait in unnamed files in `spool`."""
    runs: list[IO[bytes]] = []
    held: list[tuple[bytes, bytes, int]] = []
    held_bytes = 0
    try:
        for entry in entries:
            held.append(entry)
            held_bytes += len(entry[0]) + len(entry[1]) + 150  # Python's overhead per entry
            if held_bytes >= RUN_BYTES:
                runs.append(_spooled(sorted(held), spool))
                held, held_bytes = [], 0
            if len(runs) == MAX_RUNS:
                joined = _spooled(heapq.merge(*map(_entries, runs)), spool)
                for run in runs:
                    run.close()
                runs = [joined]
        yield from heapq.merge(sorted(held), *map(_entries, runs))
    finally:
        for run in runs:
            run.close()


def _spooled(entries: Iterable[tuple[bytes, bytes, int]], spool: str | None) -> IO[bytes]:
    file = tempfile.TemporaryFile(dir=spool, buffering=1 << 16)  # noqa: SIM115 - closed by in_order
    for stem, suffix, size in entries:
        file.write(_ENTRY.pack(len(stem), len(suffix), size) + stem + suffix)
    file.seek(0)
    return file


def _entries(file: IO[bytes]) -> Iterator[tuple[bytes, bytes, int]]:
    while head := file.read(_ENTRY.size):
        stem, suffix, size = _ENTRY.unpack(head)
        yield file.read(stem), file.read(suffix), size
