"""Hashes in text lists: sha256, md5 and PDQ in hex digits, parsed alike for every kind of list.

A line is a hash, alone or with its kind (`pdq:HEX`, `pdq HEX`, `hash=HEX,quality=100,...`), perhaps followed by other
fields (`HEX,quality,file`, `HEX  file`). A first line of column names makes the list a table, perhaps with the kind of each
row in a column of its own (hash_records.py). Case does not matter.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tagmill.ingest.similarity.hash_records import KIND_FIELDS, VALUE_FIELDS, kind_of_signal, plain_name
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

HASH_KINDS = ("md5", "pdq", "sha256")
LENGTHS = {"md5": 32, "pdq": 64, "sha256": 64}  # hex digits
HASH_REMEDY = (
    "give a hash a line: 32 hex digits (md5) or 64 (sha256; of PDQ with pdq: in front, or the list as pdq=FILE)"
)
SUSPECT_ENTRIES = 5  # minimum for the guess: fewer than 1 in 1,000 sha256 lists of this size look like PDQ by chance
_HALF, _SPREAD = 128, 2  # set bits of a PDQ hash (those above the median of 256 numbers), and the tolerance
_HEX = re.compile(r"[0-9a-f]*")
_LINE = re.compile(
    r"(?:[\"']?(?P<kind>md5|pdq|sha-?256|hash)[\"']?(?:\s*[:=,;]\s*|\s+))?"
    r"(?P<quote>[\"']?)(?P<digits>[0-9a-f]+)(?P=quote)(?:\s*[,;\s](?P<rest>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_FIELDS = re.compile(r"[,;\s]+")
_LONGEST_HEADER = 1000  # characters
_OF_PDQ = re.compile(r"(?:norm|delta|quality)=", re.IGNORECASE)  # what PDQ's own tools write after `hash=`


@dataclass(frozen=True)
class Entry:
    """A hash of a list in normal form; `kind_given` is False where its kind was inferred from its length."""

    kind: str
    digits: str
    kind_given: bool


class HashReader:
    """Reads the lines of one list, in order."""

    def __init__(self, kind: str | None = None) -> None:
        """`kind` is the kind of all hashes of the list, where known."""
        self.counts: Counter[str] = Counter()  # entries by kind
        self._kind = kind
        self._first = True
        self.left_out: Counter[str] = Counter()  # rows of other kinds, by kind, and records that were withdrawn
        self._columns: list[str | None] | None = None
        self._typed = False  # whether a column of the table names the kind of hash of its row
        self._separator = ","
        self._num_guessed = 0  # hashes whose kind was taken from their length
        self._num_half_set = 0  # of these, how many have about half of their bits set

    def entries(self, line: str) -> list[Entry]:
        """Returns the hashes of a line that is not empty; none of a header. Raises ConfigError for anything else."""
        first, self._first = self._first, False
        if self._columns is not None:
            return self._typed_row(line, self._columns) if self._typed else self._row(line, self._columns)
        match = _LINE.fullmatch(line.strip())
        entry = None if match is None else _entry(match, self._kind)
        if entry is None and first and self._header(line):
            return []
        if match is None or entry is None:
            raise ConfigError(f"{line.strip()[:80]!r} is no hash", "", HASH_REMEDY)
        if any(_is_hash(field) for field in _FIELDS.split(match["rest"] or "")):
            remedy = "give one a line, or a first line with the names of the columns (md5, sha256, pdq)"
            raise ConfigError("several hashes in a line", "", remedy)
        return [self._count(entry)]

    @property
    def summary(self) -> str:
        """How many entries of each kind were read."""
        text = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.counts.items())) or "no entries"
        if self.left_out:
            text += f"; left out: {', '.join(f'{count:,} {kind}' for kind, count in sorted(self.left_out.items()))}"
        if not self._num_guessed:
            return text
        return f"{text} ({self._num_guessed:,} of 64 digits without a kind, read as sha256; PDQ is given as pdq=FILE)"

    @property
    def may_be_pdq(self) -> bool:
        """Whether hashes that were taken for sha256 look like PDQ: nearly all have half of their bits set."""
        return self._num_guessed >= SUSPECT_ENTRIES and self._num_half_set >= 0.9 * self._num_guessed

    def _header(self, line: str) -> bool:
        if len(line) > _LONGEST_HEADER:
            return False
        self._separator = next((each for each in "\t;" if each in line), ",")
        names = self._cells(line)
        if {"kind", "value"} <= set(typed := [_typed_column(name) for name in names]):
            self._columns, self._typed = typed, True
            return True
        kinds = [name.lower().replace("-", "") for name in names]
        wanted = ("hash", *(HASH_KINDS if self._kind is None else (self._kind,)))
        if not any(map(_is_hash, names)) and any(kind in wanted for kind in kinds):
            self._columns = [kind if kind in wanted else None for kind in kinds]
        return self._columns is not None

    def _row(self, line: str, columns: list[str | None]) -> list[Entry]:
        found = []
        for name, cell in zip(columns, self._cells(line), strict=False):
            if name is None or not cell:
                continue
            match = _LINE.fullmatch(cell)
            entry = None if match is None else _entry(match, self._kind if name == "hash" else name)
            if entry is None:
                raise ConfigError(f"{cell[:80]!r} is no hash", "", HASH_REMEDY)
            found.append(self._count(entry))
        if not found:
            raise ConfigError("a row without a hash", "", "remove the row")
        return found

    def _typed_row(self, line: str, columns: list[str | None]) -> list[Entry]:
        """Returns the hash of a row whose kind is in another column; none where it is no hash of an image."""
        row = {name: cell for name, cell in zip(columns, self._cells(line), strict=False) if name is not None}
        kind, digits = kind_of_signal(row.get("kind", "")), row.get("value", "")
        if kind is None:
            self.left_out[plain_name(row.get("kind", "")) or "without a kind"] += 1
            return []
        match = _LINE.fullmatch(digits)
        entry = None if match is None else _entry(match, kind)
        if entry is None or entry.kind != kind:
            raise ConfigError(f"{digits[:80]!r} is no hash", "", HASH_REMEDY)
        return [self._count(entry)]

    def _cells(self, line: str) -> list[str]:
        try:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=self._separator))]
        except csv.Error as error:
            raise ConfigError(f"no row of a table: {error}", "", HASH_REMEDY) from error

    def _count(self, entry: Entry) -> Entry:
        if self._kind not in (None, entry.kind):
            remedy = f"move it to a list of its own, or give this list without {self._kind}"
            raise ConfigError(f"a hash of kind {entry.kind} in a list of {self._kind}", "", remedy)
        self.counts[entry.kind] += 1
        if entry.kind == "sha256" and not entry.kind_given:
            self._num_guessed += 1
            self._num_half_set += abs(int(entry.digits, 16).bit_count() - _HALF) <= _SPREAD
        return entry


def _typed_column(name: str) -> str | None:
    """Returns `kind` or `value` for a column of a table of signals; None for another one."""
    plain = plain_name(name)
    return "kind" if plain in KIND_FIELDS else "value" if plain in VALUE_FIELDS else None


def _is_hash(text: str) -> bool:
    return len(text) in LENGTHS.values() and bool(_HEX.fullmatch(text.lower()))


def _entry(match: "re.Match[str]", kind: str | None) -> Entry | None:
    """Returns the hash of a line; None if it has none."""
    digits, written = match["digits"].lower(), (match["kind"] or "").lower().replace("-", "")
    if written == "hash":
        written = "pdq" if _OF_PDQ.search(match["rest"] or "") else ""
    given = written or kind
    found = given or {32: "md5", 64: "sha256"}.get(len(digits))
    return Entry(found, digits, bool(given)) if found and len(digits) == LENGTHS[found] else None


def log_hash_counts(what: str, path: str, reader: HashReader) -> None:
    """Logs what was read from a list, and warns where its kind looks wrong."""
    log.info("%s %s: %s", what, path, reader.summary)
    if reader.may_be_pdq:
        why = "nearly all have half of their 256 bits set, as PDQ hashes have; if that is what they are, give"
        log.warning("%s %s is read as sha256, but %s pdq=%s", what, path, why, path)


def content_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields (number, stripped line) of the lines of a list that are neither empty nor a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        if (entry := line.strip()) and not entry.startswith("#"):
            yield number, entry


def kind_and_path(given: str, kinds: Collection[str]) -> tuple[str | None, str]:
    """Splits KIND=FILE or FILE into (kind or None, path)."""
    kind, equals, path = given.partition("=")
    return (kind, path) if equals and kind in kinds else (None, given)


def sha256_text(text: str) -> str | None:
    """Returns 64 hex digits in normal form; None for anything else."""
    return _digits(text, "sha256")


def pdq_words(text: str) -> list[int] | None:
    """Returns the four signed words of a PDQ hash of 64 hex digits, as in `Fingerprint`; None for anything else."""
    digits = _digits(text, "pdq")
    if digits is None:
        return None
    data = bytes.fromhex(digits)
    return [int.from_bytes(data[start : start + 8], "big", signed=True) for start in range(0, 32, 8)]


def _digits(text: str, kind: str) -> str | None:
    match = _LINE.fullmatch(text.strip())
    entry = None if match is None or match["rest"] else _entry(match, kind)
    return entry.digits if entry is not None and entry.kind == kind else None
