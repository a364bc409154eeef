"""Writes the table of a run's input files: their sizes, rows and digests, and what was noticed in them."""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.layout import INPUTS_FILE
from tagmill.ingest.sources.input_warnings import InputWarnings
from tagmill.ingest.sources.inputs import Input
from tagmill.ingest.sources.samples import Listing
from tagmill.shards.input_table import INPUTS, InputTotals
from tagmill.shards.many_requests import in_order
from tagmill.shards.storage.store import Store, is_local

log = logging.getLogger(__name__)

FILES_AT_ONCE = 8  # lists in remote stores that are read for their digests at a time
FILES_PER_GROUP = 10_000  # rows of the table in one row group, and in memory
HASHED_BYTES = 1 << 22


@dataclass(frozen=True)
class Noticed:
    """What reading all rows has found, by ordinal of the input."""

    rows: dict[int, int]
    warnings: dict[int, InputWarnings]
    listings: dict[int, Listing]  # of tars and folders
    digests: dict[int, dict[str, Any]] = field(default_factory=dict)  # columns of INPUTS that are known already


def put_input_files(store: Store, spool: Path, files: list[Input], noticed: Noticed) -> InputTotals:
    """Puts INPUTS_FILE, and logs warnings about the files; returns what they have together.

    Lists whose digest is not known are read once more for it. Memory holds FILES_PER_GROUP rows.
    """
    path = spool / "inputs.parquet"
    num_files = num_rows = num_bytes = skipped = 0
    with pq.ParquetWriter(path, INPUTS, compression="zstd", store_schema=False) as writer:
        entries = _entries(files, noticed)
        while some := list(islice(entries, FILES_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(some, INPUTS))
            num_files += len(some)
            num_rows += sum(each["rows"] for each in some)
            num_bytes += sum(each["bytes"] for each in some)
            skipped += sum(each["skipped"] for each in some)
    store.put(INPUTS_FILE, path, give=True)
    return InputTotals(num_files, num_rows, num_bytes, skipped)


def _entries(files: list[Input], noticed: Noticed) -> Iterator[dict[str, Any]]:
    def entry(of: tuple[int, Input]) -> dict[str, Any]:
        ordinal, given = of
        digests: dict[str, Any]
        warnings, listing = noticed.warnings[ordinal], noticed.listings.get(ordinal)
        if warnings.cut:
            digests = {"bytes": _size_of(given)}  # what was read of it does not identify it
        elif ordinal in noticed.digests:
            digests = noticed.digests[ordinal]
        elif listing is None:
            digests = digest_of_list(given.url)
        else:
            digests = {"bytes": listing.bytes, "listing_sha256": listing.sha256}
        return {
            "name": given.url,
            "kind": given.kind,
            "rows": noticed.rows.get(ordinal, 0),
            "skipped": warnings.skipped,
            "replaced_rows": warnings.replaced,
            "joined_lines": warnings.joined,
            **digests,
        }

    remote = any(given.kind == "lists" and not is_local(given.url) for given in files)
    for ordinal, found in enumerate(in_order(entry, enumerate(files), FILES_AT_ONCE if remote else 1)):
        for warning in noticed.warnings[ordinal].warnings(found["name"]):
            log.warning(warning)
        yield found


def _size_of(given: Input) -> int:
    """Returns the bytes of a list or tar; 0 of a folder, which would have to be listed whole."""
    folder, _, name = given.url.rpartition("/")
    return 0 if given.kind == "files" else Store(folder or "/").size(name)


def digest_of_list(url: str) -> dict[str, Any]:
    """Reads a list whole; returns its columns of INPUTS `bytes` and `sha256`."""
    folder, _, name = url.rpartition("/")
    digest, size = hashlib.sha256(), 0
    with Store(folder or "/").open(name) as file:
        while block := file.read(HASHED_BYTES):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}
