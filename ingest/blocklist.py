"""Blocklists: pictures whose bytes must not be kept, by sha256, md5 or PDQ, found where a picture is fingerprinted."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.listed import md5_text, pdq_words, sha256_text
from tagmill.ingest.lists import read_list, text_of
from tagmill.ingest.matcher import Matcher, scheme_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.record import sha256_hex
from tagmill.shards.store import Store

PINNED = "parts/blocklist.txt"
DISTANCE = 31  # bits of PDQ that may differ: what its authors take for the same picture
MAX_LIST = 1 << 30  # bytes of a file
_KINDS = ("md5", "pdq", "sha256")
_WANTED = "give 32 hex digits (md5) or 64 (sha256, or PDQ as pdq:DIGITS) a line"


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
    def _near(self) -> Matcher:
        words = [pdq_words(digits) for digits in sorted(self.pdq)]
        listed = np.array(words, np.int64).reshape(-1, 4).view(np.uint64)
        return Matcher(listed, DISTANCE, scheme_of(DISTANCE, 1), wide=False)

    def blocks(self, body: bytes, sha256: str, pdq: Sequence[int]) -> str | None:
        """The kind of entry that forbids a picture: its source bytes, their sha256, and its hash as four signed words."""
        if sha256 in self.sha256:
            return "sha256"
        if self.md5 and hashlib.md5(body, usedforsecurity=False).hexdigest() in self.md5:
            return "md5"
        return "pdq" if self.pdq and self.near(np.array([pdq], np.int64))[0] else None

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which PDQ hashes, int64 [n, 4], differ from a listed one in at most DISTANCE bits."""
        found = np.zeros(len(words), np.bool_)
        if self.pdq:
            asked, _, _ = self._near.pairs(words.view(np.uint64))
            found[asked] = True
        return found

    def data(self) -> bytes:
        """The entries in order, a line each, the same bytes for the same entries."""
        lines = [f"{kind}:{digits}" for kind in _KINDS for digits in sorted(getattr(self, kind))]
        return "".join(line + "\n" for line in lines).encode()

    @property
    def digest(self) -> str:
        return sha256_hex(self.data())

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """A list's text: an entry a line; empty lines and those that begin with # are none. Without a kind in front, 32 digits
        are an md5 and 64 a sha256. Raises ConfigError that names a line which is no entry."""
        found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            kind, digits = _entry(entry)
            if digits is None:
                raise ConfigError(f"{entry[:80]!r} is no hash", f"{where}, line {number}", _WANTED)
            found[kind].add(digits)
        return cls(**{kind: frozenset(entries) for kind, entries in found.items()})


def _entry(text: str) -> tuple[str, str | None]:
    """(kind, normal form or None) of a line."""
    kind, colon, digits = text.partition(":")
    kind = kind.strip().lower()
    if not colon:
        return ("md5", md5_text(text)) if len(text) == 32 else ("sha256", sha256_text(text))
    if kind == "pdq":
        return kind, digits.strip().lower() if pdq_words(digits) is not None else None
    if kind == "md5":
        return kind, md5_text(digits)
    return "sha256", sha256_text(digits) if kind == "sha256" else None


def read_blocklists(paths: Iterable[str]) -> Blocklist:
    """Of all files together."""
    found = Blocklist()
    for path in paths:
        found |= Blocklist.parse(text_of(read_list(path, MAX_LIST, _WANTED), path), path)
    return found


def pin_blocklist(config: IngestConfig, store: Store) -> Blocklist:
    """Puts the entries where workers find them. Raises ConfigError where the run was begun under other ones."""
    listed = read_blocklists(config.blocklist)
    if not store.put_new(PINNED, listed.data()) and store.read(PINNED) != listed.data():
        remedy = "give the lists of the run that began it, as they were, or another output"
        raise ConfigError("begun with other blocklists", config.output, remedy)
    return listed


@lru_cache(maxsize=1)
def blocklist_of(store: Store) -> Blocklist:
    """What this run must not keep. A worker process reads it once."""
    return Blocklist.parse(store.read(PINNED).decode(), PINNED) if store.exists(PINNED) else Blocklist()
