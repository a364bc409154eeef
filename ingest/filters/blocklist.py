"""Blocklists: hashes of images that must not be kept (sha256, md5 or PDQ), checked when an image is fingerprinted."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from tagmill.ingest.similarity.hamming_index import NearList
from tagmill.ingest.similarity.hash_records import is_json, json_lines
from tagmill.ingest.similarity.hex_hashes import (
    HASH_KINDS,
    HASH_REMEDY,
    HashReader,
    content_lines,
    kind_and_path,
    log_hash_counts,
)
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import sha256_hex

DISTANCE = 31  # Hamming distance of PDQ hashes at which its authors consider images the same
MAX_BLOCKLIST = 1 << 30  # bytes of a file


@dataclass(frozen=True)
class Blocklist:
    """Hashes by kind, as hex digits."""

    md5: frozenset[str] = frozenset()
    pdq: frozenset[str] = frozenset()
    sha256: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.md5 or self.pdq or self.sha256)

    def __or__(self, other: "Blocklist") -> "Blocklist":
        return Blocklist(self.md5 | other.md5, self.pdq | other.pdq, self.sha256 | other.sha256)

    @cached_property
    def _near(self) -> NearList:
        return NearList((digits, DISTANCE) for digits in self.pdq)

    def blocks(self, body: bytes | None, sha256: str, pdq: Sequence[int]) -> str | None:
        """Returns the kind of entry that forbids an image, None where none does.

        `body` is the source bytes (None skips entries by md5), `sha256` their digest, `pdq` the hash as four signed words.
        """
        if sha256 in self.sha256:
            return "sha256"
        if self.md5 and body is not None and hashlib.md5(body, usedforsecurity=False).hexdigest() in self.md5:
            return "md5"
        return "pdq" if self.pdq and self.near(np.array([pdq], np.int64))[0] else None

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Returns which PDQ hashes, int64 [n, 4], are within DISTANCE bits of a listed one; bool [n]."""
        return self._near.near(words)

    def data(self) -> bytes:
        """Serialises the sorted entries, one per line; equal entries give equal bytes."""
        lines = [f"{kind}:{digits}" for kind in HASH_KINDS for digits in sorted(getattr(self, kind))]
        return "".join(line + "\n" for line in lines).encode()

    @property
    def digest(self) -> str:
        return sha256_hex(self.data())

    @classmethod
    def parse(cls, text: str, where: str, reader: HashReader | None = None) -> Self:
        """Parses the text of a list with `reader`. Raises ConfigError that names a line without an entry."""
        found: dict[str, set[str]] = {kind: set() for kind in HASH_KINDS}
        reader = HashReader() if reader is None else reader
        of_json = is_json(text)
        lines = json_lines(text, reader.left_out) if of_json else content_lines(text)
        what = "record" if of_json else "line"
        for number, line in lines:
            try:
                for entry in reader.entries(line):
                    found[entry.kind].add(entry.digits)
            except ConfigError as error:
                raise ConfigError(error.what, f"{where}, {what} {number}", error.remedy) from error
        return cls(**{kind: frozenset(entries) for kind, entries in found.items()})


def read_blocklists(sources: Iterable[str]) -> Blocklist:
    """Reads and joins lists, each FILE, or KIND=FILE where all its hashes are of one kind. Logs the entries of each."""
    found = Blocklist()
    for source in sources:
        kind, path = kind_and_path(source, HASH_KINDS)
        reader = HashReader(kind)
        found |= Blocklist.parse(text_of(read_list(path, MAX_BLOCKLIST, HASH_REMEDY), path), path, reader)
        log_hash_counts("blocklist", path, reader)
    return found
