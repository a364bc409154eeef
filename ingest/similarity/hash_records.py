"""Hashes as exchanges of hashes give them: records with the kind of a hash in one field and the hash in another, or with
a field for each kind, in JSON, in lines of JSON, or in a table with a line of column names.

Known are the fields of ThreatExchange's `dataset --print-signals --csv`, of the lists of Tech Against Terrorism and StopNCII,
and of NCMEC's hash sharing. Records of other kinds, such as of videos and texts, are counted and left out, and so are those
that were withdrawn. Only text is read: the indices and states of these tools are pickles, and are refused as no list.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tagmill.shards.errors import ConfigError

KIND_FIELDS = frozenset(["signaltype", "algorithm", "hashtype", "indicatortype"])
_PERHAPS_KIND = frozenset(["type", "kind"])  # which may also mean the type of a file
VALUE_FIELDS = frozenset(["signalstr", "signal", "hashdigest", "hashvalue", "hash", "value", "indicator"])
RECORD_REMEDY = "give records with the kind of a hash and the hash, such as signal_type and signal_str"
_KINDS = {
    front + kind: kind for front in ("", "image", "photo", "hash") for kind in ("md5", "pdq", "sha256")
}  # of images, or of any file
_SEPARATORS = re.compile(r"[\s_-]+")
_WITHDRAWN = frozenset(["withdrawn", "deleted"])
_STATUS_FIELDS = frozenset(["hashstatus", "status"])
_LISTS = ("results", "records", "data", "hashrecords", "signals", "hashes", "entries", "items")
_NESTED = "fingerprints"


def plain_name(text: str) -> str:
    """Returns the name of a field or kind in lower case, without separators."""
    return _SEPARATORS.sub("", text.strip().lower())


def kind_of_signal(text: str) -> str | None:
    """Returns the kind of hash that an exchange's word means, one of HASH_KINDS; None for what is no hash of an image."""
    return _KINDS.get(plain_name(text))


def is_json(text: str) -> bool:
    """Whether a list is JSON, or lines of JSON."""
    return text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def json_lines(text: str, left_out: Counter[str]) -> Iterator[tuple[int, str]]:
    """Yields (number of the record or line, hash) of a list that is JSON, as `hashes_of` returns them, and counts in
    `left_out` what is left out, by kind. Raises ConfigError where it is no JSON, or has a record without a hash."""
    for number, record in _records(text.lstrip("\ufeff")):
        if not isinstance(record, str | Mapping):
            raise ConfigError(f"record {number} has no hash", "", RECORD_REMEDY)
        try:
            found = [record] if isinstance(record, str) else hashes_of(record, left_out)
        except ConfigError as error:
            raise ConfigError(f"record {number} has no hash", "", error.remedy) from None
        yield from ((number, line) for line in found)


def hashes_of(record: Mapping[str, Any], left_out: Counter[str]) -> list[str]:
    """Returns the hashes of a record as `kind:hash`, or the hash alone where its kind is not given; none of a record that was
    withdrawn or is of another kind. Raises ConfigError where it has no field that could be a hash."""
    fields = {plain_name(name): value for name, value in record.items()}
    if fields.get("deleted") is True or any(plain_name(str(fields.get(name))) in _WITHDRAWN for name in _STATUS_FIELDS):
        left_out["withdrawn"] += 1
        return []
    nested = fields.get(_NESTED)
    if isinstance(nested, Mapping):
        return _by_name(nested) or _left_out(left_out, "without a hash of an image")
    kind = next((value for name, value in fields.items() if name in KIND_FIELDS and isinstance(value, str)), None)
    value = next((value for name, value in fields.items() if name in VALUE_FIELDS and isinstance(value, str)), None)
    if kind is not None and value is not None:
        known = kind_of_signal(kind)
        return _left_out(left_out, plain_name(kind)) if known is None else [f"{known}:{value}"]
    if found := _by_name(fields):
        return found
    if value is None:
        raise ConfigError("a record has no hash", "", RECORD_REMEDY)
    perhaps = (kind_of_signal(str(fields[name])) for name in _PERHAPS_KIND if name in fields)
    known = next(filter(None, perhaps), None)
    return [value if known is None else f"{known}:{value}"]


def _by_name(fields: Mapping[str, Any]) -> list[str]:
    """Returns the hashes of fields that are named as their kind."""
    kinds = ((kind_of_signal(name), value) for name, value in fields.items())
    return [f"{kind}:{value}" for kind, value in kinds if kind is not None and isinstance(value, str) and value]


def _left_out(left_out: Counter[str], what: str) -> list[str]:
    left_out[what] += 1
    return []


def _records(text: str) -> Iterator[tuple[int, Any]]:
    """Yields the records of a JSON text with their numbers, or those of its lines with the numbers of these."""
    try:
        whole = json.loads(text)
    except RecursionError:
        raise ConfigError("JSON is nested too deeply", "", RECORD_REMEDY) from None
    except ValueError:
        yield from _line_records(text)
        return
    if isinstance(whole, Mapping):
        names = {plain_name(name): value for name, value in whole.items()}
        whole = next((names[name] for name in _LISTS if isinstance(names.get(name), list)), [whole])
    yield from enumerate(whole, 1)


def _line_records(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(f"line {number} is no JSON", "", "give one JSON text, or a record a line") from None
