"""Takedown rules: which URLs, hosts and images a list forbids.

The same rules apply to a corpus that is there (takedown/) and to one that is being made.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tagmill.ingest.filters.host_rules import host_of, host_rule
from tagmill.ingest.http.urls import describe_bad_url, normalise, parsed_url
from tagmill.ingest.similarity.hamming_index import NearList
from tagmill.ingest.similarity.hex_hashes import (
    HASH_KINDS,
    Entry,
    HashReader,
    content_lines,
    kind_and_path,
    log_hash_counts,
)
from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import key_of, sha256_hex
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tagmill.shards.takedown import RULES, SAMPLE, Takedown

PDQ_DISTANCE = 31  # Hamming distance, of 256 bits, at which the authors of PDQ consider images the same
MAX_TAKEDOWN_LIST = 1 << 30  # bytes of a file
RULE_REMEDY = "give a list, one entry a line"
_KEY = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_KIND = re.compile(r"(key|url|host)(?:\s*[:=]\s*|\s+)(\S.*)", re.IGNORECASE)
_HASH = re.compile(
    r"[\"']?(md5|pdq|sha-?256|hash|[0-9a-f]{16})", re.IGNORECASE
)  # the beginning of a line that is meant as a hash
_COMMENT = re.compile(r"\s#.*")


@dataclass(frozen=True, order=True)
class TakedownRule:
    """One entry of a list, normalised; the value of a URL is the sha256 of its normal form, in hex."""

    kind: str
    value: str
    distance: int | None = None  # of kind pdq: the maximum Hamming distance


def rule(kind: str, text: str, distance: int = PDQ_DISTANCE) -> TakedownRule:
    """Parses a rule; for hosts see `host_rule`. Raises ConfigError for text that cannot match anything."""
    text = text.strip()
    if kind not in RULES:
        raise ConfigError(f"{kind!r} is no kind of entry", "takedown", f"give one of {', '.join(RULES)}")
    if kind == "url":
        return TakedownRule(kind, _url(text))
    if kind == "host":
        return TakedownRule(kind, host_rule(text))
    if kind == "key":
        if not _KEY.fullmatch(text):
            raise ConfigError(f"{text!r} is no key", "takedown", "give the 32 hex digits of a sample's key")
        return TakedownRule(kind, text.lower())
    entries = HashReader(kind).entries(text)
    if not entries:
        raise ConfigError(f"{text!r} is no {kind}", "takedown", "give 64 hex digits")
    return _of_hash(entries[0], distance)


def _url(text: str) -> str:
    if parsed_url(normalise(text)) is None:
        raise ConfigError(
            f"{text!r} is no http(s) URL: {describe_bad_url(text)}", "takedown", "give one whole URL a line"
        )
    if text.endswith("*"):
        remedy = f"give each URL, or all of a host with the kind host: {host_of(text)}"
        raise ConfigError(f"{text!r} is a pattern, and an entry of kind url is one URL", "takedown", remedy)
    return url_digest(text)


def _of_hash(entry: Entry, distance: int) -> TakedownRule:
    if entry.kind == "md5":
        remedy = "write key in front if it is the key of a sample; give an md5 to --blocklist, or the sha256 of its image here"
        raise ConfigError("an md5, which takedown lists do not support", "takedown", remedy)
    return TakedownRule(entry.kind, entry.digits, distance if entry.kind == "pdq" else None)


def url_digest(url: str) -> str:
    """Returns what a list stores of a URL: the sha256 of its normal form, in hex."""
    return hashlib.sha256(normalise(url).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Denylist:
    """A set of takedown rules."""

    rules: frozenset[TakedownRule] = frozenset()

    @cached_property
    def _by_kind(self) -> dict[str, frozenset[str]]:
        return {kind: frozenset(rule.value for rule in self.rules if rule.kind == kind) for kind in RULES}

    @cached_property
    def _near(self) -> NearList:
        return NearList((rule.value, rule.distance or 0) for rule in self.rules if rule.kind == "pdq")

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __or__(self, other: "Denylist") -> "Denylist":
        return Denylist(self.rules | other.rules)

    def any(self, *kinds: str) -> bool:
        """Whether there is a rule of one of these kinds."""
        return any(self._by_kind[kind] for kind in kinds)

    def url(self, url: str | None) -> str | None:
        """Returns the kind of rule that forbids a URL, 'url' or 'host'; None where none does."""
        if not url or not self.any("url", "host"):
            return None
        if url_digest(url) in self._by_kind["url"]:
            return "url"
        return "host" if self._by_kind["host"] and self.host(host_of(url)) else None

    def host(self, host: str | None) -> bool:
        """Whether a host is forbidden, by its name or by a rule for all hosts below another."""
        hosts = self._by_kind["host"]
        if not host or not hosts:
            return False
        parts = host.split(".")
        return host in hosts or any("." + ".".join(parts[first:]) in hosts for first in range(len(parts)))

    def image(self, sha256: str, pdq: Sequence[int]) -> str | None:
        """Returns the kind of rule that forbids an image, 'key', 'sha256' or 'pdq', or None; `pdq` is four signed words."""
        near = self.any("pdq") and self.near(np.array([pdq], np.int64))[0]
        return self.exactly(key_of(sha256), sha256) or ("pdq" if near else None)

    def exactly(self, key: str, sha256: str) -> str | None:
        """Returns the kind of rule that forbids exactly these bytes, 'key' or 'sha256'; None where none does."""
        if key in self._by_kind["key"]:
            return "key"
        return "sha256" if sha256 in self._by_kind["sha256"] else None

    def picture(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a report's small images is forbidden: by its bytes, its hash, its URL, or the sample that it is a
        copy of."""
        words = [row[f"pdq{word}"] for word in range(4)]
        near = None not in words and self.any("pdq") and bool(self.near(np.array([words], np.int64))[0])
        key, copy_of = row["key"] or "", row["yields_to"] or ""
        exactly = self.exactly(key, row["sha256"] or "") or self.exactly(copy_of, "")
        return near or exactly is not None or self.url(row["url"]) is not None

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Returns which PDQ hashes, int64 [n, 4], are within the distance of a rule; bool [n]."""
        return self._near.near(words)

    def json(self) -> bytes:
        """Serialises the sorted rules; equal rules give equal bytes."""
        rules = [[rule.kind, rule.value, rule.distance] for rule in sorted(self.rules, key=str)]
        return json.dumps(rules, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(frozenset(TakedownRule(*entry) for entry in json.loads(data)))

    @property
    def digest(self) -> str:
        return sha256_hex(self.json())

    @classmethod
    def of(cls, takedown: Takedown) -> Self:
        """Returns the rules of a corpus's list, and the keys of samples that they matched, which also match copies at
        other URLs."""
        rules = [TakedownRule(row["kind"], row["value"], row["distance"]) for row in takedown.rows(RULES)]
        samples = [TakedownRule("key", row["value"]) for row in takedown.rows([SAMPLE])]
        return cls(frozenset([*rules, *samples]))


def rules_in(path: str, kind: str | None = None, distance: int = PDQ_DISTANCE) -> Denylist:
    """Reads a text file with one entry per line, all of `kind` if given.

    Otherwise a line begins with its kind (`host example.org`, `url http://...`, `key ...`), or is a hash. Empty lines and lines
    that begin with # are skipped. Logs the number of entries by kind. Raises ConfigError that names the line.
    """
    found, reader = set[TakedownRule](), HashReader(kind if kind in HASH_KINDS else None)
    for number, line in content_lines(text_of(read_list(path, MAX_TAKEDOWN_LIST, RULE_REMEDY), path)):
        try:
            found.update(_rules_of(line, kind, reader, distance))
        except ConfigError as error:
            raise ConfigError(error.what, f"{path}, line {number}", error.remedy) from error
    log_hash_counts("takedown list", path, reader)
    return Denylist(frozenset(found))


def _rules_of(line: str, kind: str | None, reader: HashReader, distance: int) -> list[TakedownRule]:
    match = _KIND.fullmatch(line)
    if kind in HASH_KINDS or (match is None and kind is None):
        try:
            return [_of_hash(entry, distance) for entry in reader.entries(line)]
        except ConfigError as error:
            if kind is not None or _HASH.match(line):
                raise
            remedy = f"begin it with one of {', '.join(RULES)}, or give the list as KIND=FILE, such as host=FILE"
            raise ConfigError(f"{line[:80]!r} has no kind", "", remedy) from error
    written = kind if match is None else match[1].lower()
    assert written is not None
    if kind not in (None, written):
        raise ConfigError(f"an entry of kind {written} in a list of {kind}", "", "move it to a list of its own")
    found = rule(written, _COMMENT.sub("", line if match is None else match[2]), distance)
    reader.counts[written] += 1
    return [found]


def read_denylist(sources: Iterable[str]) -> Denylist:
    """Reads and joins the rules of several sources.

    A source is a corpus, the list of a corpus (`manifests/takedown-....parquet`), a text file with lines like `host
    example.org`, or KIND=FILE where all lines are of one kind.
    """
    found = Denylist()
    for source in sources:
        kind, path = kind_and_path(source, RULES)
        if kind is not None:
            found |= rules_in(path, kind)
        elif source.endswith(".parquet"):
            found |= Denylist.of(Takedown.parse(read_list(source, MAX_TAKEDOWN_LIST, RULE_REMEDY), source))
        elif Store(source).exists("corpus.json"):
            found |= Denylist.of(Corpus.open(source).takedown)
        else:
            found |= rules_in(source)
    return found
