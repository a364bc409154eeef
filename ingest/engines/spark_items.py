"""Sends each task of Spark its own item, as a row of a table with a row in a partition; what all items share goes once.

A function that a task calls holds all that it refers to, so a list of all items in it would be read by each task.
"""

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa
from pyspark.cloudpickle import Pickler

T = TypeVar("T")

ITEMS = pa.schema([("number", pa.int64()), ("item", pa.binary())])


@dataclass(frozen=True)
class Items(Generic[T]):
    """Items, as rows (schema ITEMS), and what reads them in a task."""

    batches: list[pa.RecordBatch]  # one for each item
    read: Callable[[Iterator[pa.RecordBatch]], Iterator[tuple[int, T]]]  # of rows of a task: numbers and items


def rows_of(items: Sequence[T], first: int = 0) -> Items[T]:
    """Returns items, numbered from `first`, as rows.

    Values of the fields of data classes that are one object in all items, such as a config or a store, are left out of
    the rows; the function that reads the rows has them.
    """
    shared = _shared(items)
    batches = [
        pa.record_batch([pa.array([first + at]), pa.array([_packed(item, shared)], pa.binary())], schema=ITEMS)
        for at, item in enumerate(items)
    ]

    def read(rows: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, T]]:
        for batch in rows:
            for number, packed in zip(batch["number"].to_pylist(), batch["item"].to_pylist(), strict=True):
                yield number, _Reader(packed, shared).load()

    return Items(batches, read)


class _Writer(Pickler):  # type: ignore[misc]  # pyspark is not looked into
    def __init__(self, file: io.BytesIO, shared: Sequence[Any]) -> None:
        super().__init__(file)
        self._numbers = {id(value): number for number, value in enumerate(shared)}

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj))


class _Reader(pickle.Unpickler):
    def __init__(self, packed: bytes, shared: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(packed))
        self._shared = shared

    def persistent_load(self, pid: Any) -> Any:
        return self._shared[pid]


def _packed(item: Any, shared: Sequence[Any]) -> bytes:
    file = io.BytesIO()
    _Writer(file, shared).dump(item)
    return file.getvalue()


def _shared(items: Sequence[Any]) -> list[Any]:
    """Returns the values of fields that are the same object in all items."""
    if len(items) < 2 or not is_dataclass(items[0]) or any(type(item) is not type(items[0]) for item in items):
        return []
    found = []
    for field in fields(items[0]):
        value = getattr(items[0], field.name)
        if all(getattr(item, field.name) is value for item in items):
            found.append(value)
    return [value for value in found if not isinstance(value, bool | int | None)]
