"""Attributes of subjects, from a table that the user gives. No attribute is guessed from an image."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards import InputError
from tagmill.training.trained.weight_file import read_text, split_address

KEY, SUBJECT = "key", "subject"
MOST_LETTERS = 200  # of a group's name
MOST_GROUPS = 50
LEAST_SUBJECTS = 30  # of a group
_REMEDY = "give a .csv or .parquet with the columns key, subject and the attribute"


@dataclass(frozen=True)
class Attributes:
    """The group of each subject under one attribute, and the subject of each image."""

    name: str
    subject_of: Mapping[str, str]  # by the key of an image
    group_of: Mapping[str, str]  # by subject
    unknown: int  # images without a subject or without a value of the attribute


def read_attributes(address: str, name: str) -> Attributes:
    """Reads the column `name` of a table with a row for each image: columns `key` (of the set), `subject` and attributes.

    Raises InputError for a missing column, a key that is there twice, a subject with two values of the attribute, and more
    than 50 values (a number is not an attribute: make ranges of it first).
    """
    subject_of, group_of, unknown, seen = dict[str, str](), dict[str, str](), 0, set[str]()
    for number, (key, subject, group) in enumerate(_rows(address, name), 1):
        where = f"{address}, row {number}"
        if key in seen:
            raise InputError(f"the key {key!r:.80} is there twice", where, "give each image one row")
        seen.add(key)
        if not (key and subject and group):
            unknown += 1
            continue
        if group_of.setdefault(subject, group[:MOST_LETTERS]) != group[:MOST_LETTERS]:
            what = (
                f"the subject {subject!r:.80} has two values of {name!r:.40}: {group_of[subject]!r:.40}, {group!r:.40}"
            )
            raise InputError(what, where, "give a subject one value, or make each value a subject of its own")
        subject_of[key] = subject
    if len(set(group_of.values())) > MOST_GROUPS:
        what = f"{len(set(group_of.values())):,} values of {name!r:.40}, more than {MOST_GROUPS}"
        raise InputError(what, address, "make groups of the values, such as ranges of ages")
    return Attributes(name, subject_of, group_of, unknown)


def check_groups(groups: Mapping[str, int], name: str) -> None:
    """Raises InputError unless there are at least two groups, each of at least 30 subjects. `groups`: subjects by group."""
    if len(groups) < 2:
        what = f"{len(groups)} value of {name!r:.40} among the images that were read; a comparison needs two"
        raise InputError(what, "audit", "give a table whose keys are those of the set")
    small = sorted(group for group, count in groups.items() if count < LEAST_SUBJECTS)
    if small:
        sizes = ", ".join(f"{group!r:.40} has {groups[group]}" for group in small[:5])
        what = f"groups of fewer than {LEAST_SUBJECTS} subjects, of which nothing can be said: {sizes}"
        raise InputError(what, f"attribute {name!r:.40}", "leave their value empty in the table, or join groups")


def subjects_by_group(groups: list[str]) -> dict[str, int]:
    """Returns the number of subjects of each group, in the order of their names; `groups`: the group of each subject."""
    return dict(sorted(Counter(groups).items()))


def _rows(address: str, name: str) -> Iterator[tuple[str, str, str]]:
    columns = (KEY, SUBJECT, name)
    store, file = split_address(address)
    data = read_text(store, file)
    try:
        if file.lower().endswith(".parquet"):
            table = pq.ParquetFile(io.BytesIO(data))
            _check_columns(table.schema_arrow.names, columns, address)
            for batch in table.iter_batches(columns=list(dict.fromkeys(columns)), use_threads=False):
                yield from zip(*(_texts(batch[each]) for each in columns), strict=True)
        else:
            reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
            _check_columns(reader.fieldnames or (), columns, address)
            for row in reader:
                key, subject, group = ((row[each] or "").strip() for each in columns)
                yield key, subject, group
    except (pa.ArrowException, csv.Error, UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot be read: {error}", address, _REMEDY) from error


def _check_columns(found: object, wanted: tuple[str, ...], address: str) -> None:
    names = list(found)  # type: ignore[call-overload]
    if missing := [each for each in wanted if each not in names]:
        raise InputError(f"no column {missing[0]!r:.40}; it has {', '.join(map(str, names))[:200]}", address, _REMEDY)


def _texts(column: pa.Array) -> list[str]:
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]
