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

from tagmill.ingest.deal import normalise
from tagmill.ingest.lists import read_list, text_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import Corpus
from tagmill.shards.record import key_of, sha256_hex
from tagmill.shards.store import Store
from tagmill.shards.takedown import RULES, SAMPLE, Takedown

PDQ_DISTANCE = 31  # of 256 bits: what the authors of PDQ take for the same picture
MAX_LIST = 1 << 30  # bytes of a file
WANTED = "give a list, one entry a line"
PDQ_BLOCK = 256  # hashes of the list that rows are held against at a time
_HEX = {"key": 32, "sha256": 64, "pdq": 64}
_HOST = re.compile(r"https?://(?:[^/?#]*@)?(\[[^]]*\]|[^/?#:]*)", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Rule:
    """One entry of a list in its normal form; a URL is the sha256 of its normal form, in hex."""

    kind: str
    value: str
    distance: int | None = None  # bits of a PDQ hash that may differ


def rule(kind: str, text: str, distance: int = PDQ_DISTANCE) -> Rule:
    """The rule that a person wrote. A host is itself alone; with a dot in front, itself and all below it.

    Raises ConfigError for what cannot be one.
    """
    text = text.strip()
    if kind not in RULES:
        raise ConfigError(f"{kind!r} is no kind of entry", "takedown", f"give one of {', '.join(RULES)}")
    if kind == "url":
        if host_of(text) is None:
            raise ConfigError(f"{text!r} is no http(s) URL", "takedown", "give one URL a line")
        return Rule(kind, url_digest(text))
    if kind == "host":
        dot, name = text[: len(text) - len(text.lstrip("."))], text.lstrip(".")
        host = host_of(f"http://{name}/") if len(dot) < 2 and not re.search(r"[/?#@:\s]", name) else None
        if not host:
            raise ConfigError(f"{text!r} is no host", "takedown", "give names such as example.org or .example.org")
        return Rule(kind, dot + host)
    text = text.lower()
    if not re.fullmatch(rf"[0-9a-f]{{{_HEX[kind]}}}", text):
        raise ConfigError(f"{text!r} is no {kind}", "takedown", f"give {_HEX[kind]} hex digits a line")
    return Rule(kind, text, distance if kind == "pdq" else None)


def host_of(url: str) -> str | None:
    """The host of an http(s) URL in its ASCII form, without port; None where there is none."""
    match = _HOST.match(normalise(url))
    return match[1].rstrip(".") if match is not None and match[1].isascii() and match[1] else None


def url_digest(url: str) -> str:
    """What a list holds of a URL."""
    return hashlib.sha256(normalise(url).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Denied:
    """A set of rules."""

    rules: frozenset[Rule] = frozenset()

    @cached_property
    def _by_kind(self) -> dict[str, frozenset[str]]:
        return {kind: frozenset(rule.value for rule in self.rules if rule.kind == kind) for kind in RULES}

    @cached_property
    def _pdq(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint16]]:
        """The hashes of the list, [m, 4], and how far from each is too near."""
        near = sorted((rule.value, rule.distance or 0) for rule in self.rules if rule.kind == "pdq")
        words = np.frombuffer(bytes.fromhex("".join(value for value, _ in near)), ">u8").reshape(-1, 4)
        return words.astype(np.uint64), np.array([distance for _, distance in near], np.uint16)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __or__(self, other: "Denied") -> "Denied":
        return Denied(self.rules | other.rules)

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
        rows, found = words.view(np.uint64), np.zeros(len(words), np.bool_)
        listed, distances = self._pdq
        for start in range(0, len(listed), PDQ_BLOCK):
            block = slice(start, start + PDQ_BLOCK)
            bits = np.zeros((len(rows), len(listed[block])), np.uint16)
            for word in range(4):
                bits += np.bitwise_count(rows[:, word, None] ^ listed[None, block, word])
            found |= (bits <= distances[block]).any(axis=1)
        return found

    def json(self) -> bytes:
        """The rules in order, the same bytes for the same rules."""
        rules = [[rule.kind, rule.value, rule.distance] for rule in sorted(self.rules, key=str)]
        return json.dumps(rules, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(frozenset(Rule(*entry) for entry in json.loads(data)))

    @property
    def digest(self) -> str:
        return sha256_hex(self.json())

    @classmethod
    def of(cls, takedown: Takedown) -> Self:
        """The rules of a corpus's list; and the keys of what they matched there, because a URL says nothing of a copy."""
        rules = [Rule(row["kind"], row["value"], row["distance"]) for row in takedown.rows(RULES)]
        samples = [Rule("key", row["value"]) for row in takedown.rows([SAMPLE])]
        return cls(frozenset([*rules, *samples]))


def rules_in(path: str, kind: str | None = None, distance: int = PDQ_DISTANCE) -> Denied:
    """The rules of a text file: an entry of `kind` a line; without a kind, lines such as `host example.org`. Empty lines and
    those that begin with # are none. Raises ConfigError that names the line."""
    text = text_of(read_list(path, MAX_LIST, WANTED), path)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        first, _, rest = line.strip().partition(" ")
        try:
            found.append(rule(kind, line, distance) if kind else rule(first, rest))
        except ConfigError as error:
            raise ConfigError(error.what, f"{path}, line {number}", error.remedy) from error
    return Denied(frozenset(found))


def read_denied(places: Iterable[str]) -> Denied:
    """The rules of several places: each a corpus, a list out of one (`manifests/takedown-....parquet`), or a text file of lines
    such as `host example.org`."""
    found = Denied()
    for place in places:
        if place.endswith(".parquet"):
            found |= Denied.of(Takedown.parse(read_list(place, MAX_LIST, WANTED), place))
        elif Store(place).exists("corpus.json"):
            found |= Denied.of(Corpus.open(place).takedown)
        else:
            found |= rules_in(place)
    return found
