"""Blocklists: pictures whose bytes must not be kept, by sha256, md5 or PDQ, found where a picture is fingerprinted."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from tagmill.ingest.similarity.hamming_index import NearList
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

DISTANCE = 31  # bits of PDQ that may differ: what its authors take for the same picture
MAX_BLOCKLIST = 1 << 30  # bytes of a file


@dataclass(frozen=True)
class Blocklist:
    """Hashes by kind, each as hex digits."""

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
        """The kind of entry that forbids a picture: its source bytes, their sha256, and its hash as four signed words. Without
        the bytes the entries by md5 are left out."""
        if sha256 in self.sha256:
            return "sha256"
        if self.md5 and body is not None and hashlib.md5(body, usedforsecurity=False).hexdigest() in self.md5:
            return "md5"
        return "pdq" if self.pdq and self.near(np.array([pdq], np.int64))[0] else None

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which PDQ hashes, int64 [n, 4], differ from a listed one in at most DISTANCE bits."""
        return self._near.near(words)

    def data(self) -> bytes:
        """The entries in order, a line each, the same bytes for the same entries."""
        lines = [f"{kind}:{digits}" for kind in HASH_KINDS for digits in sorted(getattr(self, kind))]
        return "".join(line + "\n" for line in lines).encode()

    @property
    def digest(self) -> str:
        return sha256_hex(self.data())

    @classmethod
    def parse(cls, text: str, where: str, reader: HashReader | None = None) -> Self:
        """A list's text, as `reader` reads it; see `listed`. Raises ConfigError that names a line which is no entry."""
        found: dict[str, set[str]] = {kind: set() for kind in HASH_KINDS}
        reader = HashReader() if reader is None else reader
        for number, line in content_lines(text):
            try:
                for entry in reader.entries(line):
                    found[entry.kind].add(entry.digits)
            except ConfigError as error:
                raise ConfigError(error.what, f"{where}, line {number}", error.remedy) from error
        return cls(**{kind: frozenset(entries) for kind, entries in found.items()})


def read_blocklists(places: Iterable[str]) -> Blocklist:
    """Of all lists together, each a FILE, or KIND=FILE where all its hashes are of one kind. Logs what each of them holds."""
    found = Blocklist()
    for place in places:
        kind, path = kind_and_path(place, HASH_KINDS)
        reader = HashReader(kind)
        found |= Blocklist.parse(text_of(read_list(path, MAX_BLOCKLIST, HASH_REMEDY), path), path, reader)
        log_hash_counts("blocklist", path, reader)
    return found
