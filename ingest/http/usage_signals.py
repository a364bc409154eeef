"""What sites say of training on their content: `Content-Signal`, `Content-Usage` and `tdm-reservation`.

Content-Signal is that of contentsignals.org (`ai-train=no`), Content-Usage that of the IETF's drafts draft-ietf-aipref-attach
and -vocab (`train-ai=n`), both as headers and as lines of robots.txt, there with an optional path. tdm-reservation is a header
of the W3C community group's TDMRep, whose file `/.well-known/tdmrep.json` says it by paths. The drafts do not say whether they
mean classifiers: a "no" is taken for one.
"""

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from yarl import URL

from tagmill.ingest.reasons import Reason


@dataclass(frozen=True, slots=True)
class _Signal:
    field: str  # name of the header, and of the line in robots.txt
    key: str
    no: frozenset[str]
    yes: frozenset[str]


_SIGNALS = {
    Reason.CONTENT_SIGNAL: _Signal("Content-Signal", "ai-train", frozenset(["no"]), frozenset(["yes"])),
    Reason.CONTENT_USAGE: _Signal("Content-Usage", "train-ai", frozenset(["n", "?0"]), frozenset(["y", "?1"])),
}
_RESERVATION = "TDM-Reservation"
_BY_FIELD = {signal.field.lower(): reason for reason, signal in _SIGNALS.items()}
LINE_PREFIXES = ("Content-", f"{_RESERVATION}: ")
"""Every line that `PathSignals` reads begins with one of these, and no rule of robots.txt does."""
_RESERVED = "tdm-reservation"
TDMREP_PATH = "/.well-known/tdmrep.json"
MAX_TDMREP_BYTES = 500 * 1024
MAX_LOCATIONS = 10_000  # of a file that are read
KINDS = frozenset([*_SIGNALS, Reason.TDM_RESERVED])
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")


def _allowed(signal: _Signal, text: str) -> bool | None:
    """Returns what a value such as `search=yes, ai-train=no` says; None: nothing. Of two answers the stricter one counts."""
    said = set()
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key.strip().lower() == signal.key:
            said.add(value.partition(";")[0].strip().strip('"').lower())
    if said & signal.no:
        return False
    return True if said & signal.yes else None


def forbidding_header(values: Callable[[str], Iterable[str]], kinds: frozenset[Reason]) -> tuple[Reason, str] | None:
    """Returns the reason and the header that forbid training, or None. `values` returns the values of a header."""
    for reason, signal in _SIGNALS.items():
        if reason in kinds and any(_allowed(signal, value) is False for value in values(signal.field)):
            return reason, f"{signal.field}: {signal.key}={min(signal.no, key=len)}"
    if Reason.TDM_RESERVED in kinds and any(value.strip() == "1" for value in values(_RESERVED)):
        return Reason.TDM_RESERVED, f"{_RESERVED}: 1"
    return None


def signal_line(field: str, value: str) -> str | None:
    """Returns a line of robots.txt in the form that `PathSignals` reads; None where it says nothing of training.

    `field` is its name in lower case, `value` a path that begins with `/` or `*`, if any, and the answers.
    """
    reason = _BY_FIELD.get(field)
    if reason is None:
        return None
    signal, path, said = _SIGNALS[reason], "", value
    if value[:1] in ("/", "*"):
        path, _, said = value.partition(" ")
    allowed = _allowed(signal, said)
    if allowed is None:
        return None
    answer = min(signal.yes if allowed else signal.no, key=len)
    return f"{signal.field}: {path}{' ' if path else ''}{signal.key}={answer}"


def file_of(reason: Reason) -> str:
    """Returns the name of the file of a site that has the lines of a signal."""
    return "tdmrep.json" if reason == Reason.TDM_RESERVED else "robots.txt"


def reservation_lines(body: bytes | None) -> list[str]:
    """Returns the entries of a tdmrep.json, in order, in the form that `PathSignals` reads. A file that is none has none."""
    try:
        entries = json.loads(body or b"[]")
    except (ValueError, RecursionError):
        return []
    found = []
    for entry in entries[:MAX_LOCATIONS] if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or not isinstance(location := entry.get("location"), str):
            continue
        path = _normal(location if location[:1] in ("/", "*") else f"/{location}")
        reserved = entry.get(_RESERVED)
        if path.isprintable() and " " not in path and reserved in (0, 1, "0", "1"):
            found.append(f"{_RESERVATION}: {path} {int(reserved)}")
    return found


@dataclass(frozen=True, slots=True)
class _Rule:
    path: str  # a pattern as in robots.txt; "": everything
    allows: bool
    line: str


class PathSignals:
    """The signals of one host, by path. In robots.txt the longest path that matches decides, and of equal ones the stricter; in
    tdmrep.json the first."""

    def __init__(self, lines: Iterable[str]) -> None:
        """`lines` are those that `signal_line` and `reservation_lines` return."""
        self._rules: dict[Reason, list[_Rule]] = {}
        for line in lines:
            field, _, rest = line.partition(": ")
            path, _, said = rest.rpartition(" ")
            reason = _BY_FIELD.get(field.lower(), Reason.TDM_RESERVED)
            allows = said == "0" if reason == Reason.TDM_RESERVED else _allowed(_SIGNALS[reason], said) is True
            self._rules.setdefault(reason, []).append(_Rule(_normal(path), allows, line))
        for reason in _SIGNALS:
            self._rules.get(reason, []).sort(key=lambda rule: (-len(rule.path), rule.allows))

    def forbidding(self, url: URL, kinds: frozenset[Reason]) -> tuple[Reason, str] | None:
        """Returns the reason and the line that forbid training on a URL, or None."""
        path = None
        for reason, rules in self._rules.items():
            if reason not in kinds:
                continue
            path = _normal(url.raw_path_qs) if path is None else path
            found = next((rule for rule in rules if _matches(rule.path, path)), None)
            if found is not None and not found.allows:
                return reason, found.line
        return None


def _normal(path: str) -> str:
    """Returns a path with characters escaped in one way only."""
    with suppress(ValueError):  # of a text that is part of no URL, and so matches none
        path = URL(f"http://h/{path}").raw_path_qs[1:] if path else path
    return _ESCAPE.sub(lambda found: found[0].upper(), path)


def _matches(pattern: str, path: str) -> bool:
    """Whether a path matches: `*` is any text, a last `$` the end. Takes linear time in either, also for hostile patterns."""
    whole = pattern.endswith("$")
    first, *others = pattern[: len(pattern) - whole].split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = others.pop() if whole and others else None
    for piece in others:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    if not whole:
        return True
    return at == len(path) if last is None else path.endswith(last) and at <= len(path) - len(last)
