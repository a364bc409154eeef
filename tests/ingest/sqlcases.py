"""For every statement of `ingest/sql` the tables that it is run on by all engines, of rows that are meant to part them.

A new statement needs an entry in CASES; the test that runs them all says so.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tagmill.ingest.engine import Param

INT64S = [None, 0, 1, -1, 7, 1 << 40, (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1]
INT32S = [None, 0, 1, -1, 7, (1 << 31) - 1, -(1 << 31)]
# U+FFFF and U+1F600 stand in one order by bytes of UTF-8 and in the other by units of UTF-16.
STRINGS = [
    None,
    "",
    " ",
    "a",
    "A",
    "ab",
    "\u00e9",
    "e\u0301",
    "\uffff",
    "\U0001f600",
    "\x00",
    "a\x00b",
    "'",
    '"',
    "\\",
    "NULL",
]
LISTS: list[list[str | None] | None] = [None, [], [None], [""], ["a", None, "a"], ["\U0001f600", "\uffff"], ["b"] * 50]
POOLS: dict[pa.DataType, Sequence[Any]] = {
    pa.int64(): INT64S,
    pa.int32(): INT32S,
    pa.string(): STRINGS,
    pa.list_(pa.string()): LISTS,
    pa.bool_(): [None, True, False],
}


@dataclass(frozen=True)
class Rows:
    """How a table is filled: `pools` are a column's values where others than its type's are wanted, `unique` columns never
    have a value twice, as the statement may rely on it."""

    schema: pa.Schema
    pools: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    unique: tuple[str, ...] = ()

    def table(self, kind: str) -> pa.Table:
        """Kind: empty, null, equal, or mixed."""
        dice = random.Random(f"{kind} {self.schema.names}")
        num_rows = {"empty": 0, "null": 3, "equal": 40, "mixed": 150}[kind]
        return pa.table([self._column(column, kind, num_rows, dice) for column in self.schema], schema=self.schema)

    def _column(self, column: pa.Field, kind: str, num_rows: int, dice: random.Random) -> pa.Array:
        if column.name in self.unique:
            values = list(range(num_rows))
            dice.shuffle(values)
            text = [f"{value:032x}" for value in values]
            return pa.array(values if pa.types.is_integer(column.type) else text, column.type)
        pool = [*self.pools.get(column.name, POOLS[column.type])]
        if kind == "null" and None in pool:
            pool = [None]
        if kind == "equal":
            pool = [dice.choice([value for value in pool if value is not None])]
        return pa.array([dice.choice(pool) for _ in range(num_rows)], column.type)


@dataclass(frozen=True)
class Case:
    """What a statement is run on, with which parameters, and the columns that its result is in order of."""

    tables: Mapping[str, Rows]
    params: Sequence[Mapping[str, Param]] = ({},)
    order: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("empty", "null", "equal", "mixed")

    def inputs(self) -> Iterator[tuple[str, dict[str, pa.Table], Mapping[str, Param]]]:
        """(name, tables, parameters) of every run."""
        for kind in self.kinds:
            for params in self.params:
                tables = {name: rows.table(kind) for name, rows in self.tables.items()}
                yield f"{kind} {dict(params)}", tables, params


def schema(**columns: str) -> pa.Schema:
    """A schema by names of types."""
    types = {"int64": pa.int64(), "int32": pa.int32(), "string": pa.string(), "strings": pa.list_(pa.string())}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


_REASONS = [None, None, "not_found", "duplicate", "\U0001f600"]
_KEYS = [None, "", "a", "b", "\uffff", "\U0001f600"]
_FACTS = Rows(
    schema(
        row_id="int64", part="int32", place="int32", reason="string", key="string", original_width="int32",
        original_height="int32", sample_bytes="int64", holdout_order="int64",
    ),
    {"reason": _REASONS, "key": _KEYS},
)  # fmt: skip
_EXISTING = Rows(
    schema(row_id="int64", key="string", sha256="string", pixels="int64"), {"row_id": [-3, -2, -1], "key": _KEYS}
)
_RANKED = Rows(
    schema(
        row_id="int64", part="int32", place="int32", key="string", sample_bytes="int64", holdout_order="int64",
        keeper="int64",
    ),
    {"key": _KEYS, "row_id": [1, 2, 3, None], "keeper": [1, 2, 3, None]},
)  # fmt: skip
_REJECTS = Rows(
    schema(row_id="int64", reason="string", tags="strings", yields_to="string"),
    {"reason": _REASONS, "yields_to": _KEYS},
)
_ORIGINS = Rows(
    schema(part="int32", origin="string", spread="int64", urls="int64"), {"urls": [1, 2, 1 << 40], "origin": _KEYS}
)
_ANSWERS = Rows(
    schema(origin="string", reason="string", detail="string", rules="string", kept="string"), {"origin": _KEYS}
)
CASES: dict[str, Case] = {
    "duplicates": Case({"rejects": _REJECTS}),
    "exact": Case({"facts": _FACTS, "existing": _EXISTING}),
    "hosts": Case({"origins": _ORIGINS}, order=("spread", "origin")),
    "rules": Case({"origins": _ORIGINS, "answers": _ANSWERS}, order=("part", "origin")),
    "selection": Case(
        {"ranked": _RANKED, "heldout": Rows(schema(row_id="int64"), {"row_id": [1, 3, None]}), "facts": _FACTS},
        order=("part", "place"),
    ),
    "split": Case(
        {"ranked": Rows(_RANKED.schema, {"row_id": [1, 2, None], "keeper": [1, 2, None]}, unique=("key",))},
        params=[{"holdout": 0}, {"holdout": 5}, {"holdout": 1000}],
        order=("row_id",),
    ),
    "union": Case(
        {
            "rejects": _REJECTS,
            "places": Rows(schema(key="string", shard="int32", ordinal="int32"), {"key": _KEYS}),
        },
        order=("shard", "ordinal", "tag"),
    ),
}
