"""What takedown lists forbid, and whether a URL or a picture is among it: the same rules for a corpus that is there and for one
that is being made."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

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

PDQ_DISTANCE = 31  # of 256 bits: what the authors of PDQ take for the same picture
MAX_TAKEDOWN_LIST = 1 << 30  # bytes of a file
RULE_REMEDY = "give a list, one entry a line"
_KEY = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_KIND = re.compile(r"(key|url|host)(?:\s*[:=]\s*|\s+)(\S.*)", re.IGNORECASE)
_HASH = re.compile(
    r"[\"']?(md5|pdq|sha-?256|hash|[0-9a-f]{16})", re.IGNORECASE
)  # the beginning of what is meant as one
_COMMENT = re.compile(r"\s#.*")


@dataclass(frozen=True, order=True)
class TakedownRule:
    """One entry of a list in its normal form; a URL is the sha256 of its normal form, in hex."""

    kind: str
    value: str
    distance: int | None = None  # bits of a PDQ hash that may differ


def rule(kind: str, text: str, distance: int = PDQ_DISTANCE) -> TakedownRule:
    """The rule that a person wrote; of hosts see `host_rule`. Raises ConfigError for what cannot match anything."""
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
        raise ConfigError(f"{text!r} is a pattern, and a URL stands for itself alone", "takedown", remedy)
    return url_digest(text)


def _of_hash(entry: Entry, distance: int) -> TakedownRule:
    if entry.kind == "md5":
        remedy = (
            "write key in front if it is the key of a sample; give an md5 to --blocklist, or its picture's sha256 here"
        )
        raise ConfigError("an md5, of which takedown lists have none", "takedown", remedy)
    return TakedownRule(entry.kind, entry.digits, distance if entry.kind == "pdq" else None)


def url_digest(url: str) -> str:
    """What a list holds of a URL."""
    return hashlib.sha256(normalise(url).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Denylist:
    """A set of rules."""

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
        """The kind of rule that forbids a URL, 'url' or 'host'."""
        if not url or not self.any("url", "host"):
            return None
        if url_digest(url) in self._by_kind["url"]:
            return "url"
        return "host" if self._by_kind["host"] and self.host(host_of(url)) else None

    def host(self, host: str | None) -> bool:
        """Whether a host is forbidden, by its name or by a rule for all below one."""
        hosts = self._by_kind["host"]
        if not host or not hosts:
            return False
        parts = host.split(".")
        return host in hosts or any("." + ".".join(parts[place:]) in hosts for place in range(len(parts)))

    def picture(self, sha256: str, pdq: Sequence[int]) -> str | None:
        """The kind of rule that forbids a picture, 'key', 'sha256' or 'pdq'; its hash is four signed words."""
        near = self.any("pdq") and self.near(np.array([pdq], np.int64))[0]
        return self.exactly(key_of(sha256), sha256) or ("pdq" if near else None)

    def exactly(self, key: str, sha256: str) -> str | None:
        """The kind of rule that forbids these very bytes, 'key' or 'sha256'."""
        if key in self._by_kind["key"]:
            return "key"
        return "sha256" if sha256 in self._by_kind["sha256"] else None

    def near(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which PDQ hashes, int64 [n, 4], differ in few enough bits from one of the list."""
        return self._near.near(words)

    def json(self) -> bytes:
        """The rules in order, the same bytes for the same rules."""
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
        """The rules of a corpus's list; and the keys of what they matched there, because a URL says nothing of a copy."""
        rules = [TakedownRule(row["kind"], row["value"], row["distance"]) for row in takedown.rows(RULES)]
        samples = [TakedownRule("key", row["value"]) for row in takedown.rows([SAMPLE])]
        return cls(frozenset([*rules, *samples]))


def rules_in(path: str, kind: str | None = None, distance: int = PDQ_DISTANCE) -> Denylist:
    """The rules of a text file, an entry a line, of `kind` where that is known; else a line begins with its kind
    (`host example.org`, `url http://...`, `key ...`) or is a hash (see `listed`). Empty lines and those that begin with # are
    none. Logs how many entries of each kind there are. Raises ConfigError that names the line."""
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


def read_denylist(places: Iterable[str]) -> Denylist:
    """The rules of several places: each a corpus, a list out of one (`manifests/takedown-....parquet`), a text file of lines
    such as `host example.org`, or KIND=FILE where all its lines are of one kind."""
    found = Denylist()
    for place in places:
        kind, path = kind_and_path(place, RULES)
        if kind is not None:
            found |= rules_in(path, kind)
        elif place.endswith(".parquet"):
            found |= Denylist.of(Takedown.parse(read_list(place, MAX_TAKEDOWN_LIST, RULE_REMEDY), place))
        elif Store(place).exists("corpus.json"):
            found |= Denylist.of(Corpus.open(place).takedown)
        else:
            found |= rules_in(place)
    return found
