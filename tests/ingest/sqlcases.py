"""For every statement of `ingest/engines/sql` the tables that it is run on by all engines, of rows that are meant to part them.

A new statement needs an entry in CASES; the test that runs them all says so.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tagmill.ingest.engines.engine import Param

INT64S = [None, 0, 1, -1, 7, 1 << 40, (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1]
INT32S = [None, 0, 1, -1, 7, (1 << 31) - 1, -(1 << 31)]
# U+FFFF and U+1F600 sort one way by bytes of UTF-8 and the other way by units of UTF-16.
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
        """(name, tables, parameters) of every run; tables that have nothing to part are run on once."""
        for kind in self.kinds:
            for params in self.params if kind in ("equal", "mixed") else self.params[:1]:
                tables = {name: rows.table(kind) for name, rows in self.tables.items()}
                yield f"{kind} {dict(params)}", tables, params


def schema(**columns: str) -> pa.Schema:
    """A schema by names of types."""
    types = {"int64": pa.int64(), "int32": pa.int32(), "string": pa.string(), "strings": pa.list_(pa.string())}
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


_REASONS = [None, None, "not_found", "duplicate", "\U0001f600"]
_KEYS = [None, "", "a", "b", "\uffff", "\U0001f600"]
_IDS = [None, 1, 2, 3, 5]
_FACTS = Rows(
    schema(
        row_id="int64", part="int32", place="int32", reason="string", key="string", url="string", original_width="int32",
        original_height="int32", sample_bytes="int64", holdout_order="int64", pdq0="int64", pdq1="int64", pdq2="int64",
        pdq3="int64", pdq_quality="int32",
    ),
    {"reason": _REASONS, "key": _KEYS, "row_id": _IDS, "holdout_order": [None, -7, 0, 1 << 62]},
)  # fmt: skip
_APART = Rows(_FACTS.schema, _FACTS.pools, unique=("row_id",))
_EXISTING = Rows(
    schema(
        row_id="int64", key="string", sha256="string", pdq0="int64", pdq1="int64", pdq2="int64", pdq3="int64",
        pdq_quality="int32", pixels="int64",
    ),
    {"row_id": [-3, -2, -1, 5], "key": _KEYS},
)  # fmt: skip
# Tables with a key have each of its values once, or joins of joins would have more rows than a test can wait for.
_ROWS = Rows(schema(row_id="int64"), unique=("row_id",))
_GROUPS = Rows(
    schema(row_id="int64", part="int32", key="string", keeper="int64"), {"keeper": _IDS, "key": _KEYS}, ("row_id",)
)
_KEEPERS = Rows(schema(keeper="int64"), unique=("keeper",))
_CROWDS = Rows(
    schema(keeper="int64", key="string", urls="int64"), {"key": _KEYS, "urls": [1, 2, 3, 4]}, unique=("keeper",)
)
_TAGGED = Rows(schema(row_id="int64", url="string", tags="strings"), {}, ("row_id",))
_NAMED = Rows(schema(row_id="int64", part="int32", key="string"), {"key": _KEYS}, ("row_id",))
_PLACED = Rows(schema(row_id="int64", part="int32"), unique=("row_id",))
_DROPPED = Rows(
    schema(row_id="int64", part="int32", reason="string", yields_to="string"),
    {"reason": ["duplicate", "evaluation"], "yields_to": _KEYS},
    ("row_id",),
)
_NEAR = Rows(schema(row_id="int64", part="int32", yields_to="string"), {"yields_to": _KEYS}, ("row_id",))
_EDGES = Rows(
    schema(row_a="int64", row_b="int64", distance="int32"), {"row_a": _IDS, "row_b": _IDS, "distance": [0, 4, 31]}
)
_ALIKE = Rows(schema(row_id="int64", head="int64"), {"head": _IDS}, ("row_id",))
_RANKS = Rows(
    schema(row_id="int64", part="int32", existing="int32", key="string", rank="int64"),
    {"existing": [0, 1], "key": _KEYS},
    ("row_id", "rank"),
)
_HEADS = Rows(schema(head="int64", rank="int64"), unique=("head", "rank"))
_YIELDED = Rows(schema(rank="int64", to_rank="int64"), {"to_rank": [1, 2, 3]}, ("rank",))
_REJECTS = Rows(
    schema(row_id="int64", reason="string", tags="strings", yields_to="string"),
    {"reason": _REASONS, "yields_to": _KEYS},
)
_LOCATIONS = Rows(schema(key="string", shard="int32", ordinal="int32"), {"key": _KEYS})
_LABELLED = Rows(schema(key="string", label="int64"), {"key": _KEYS, "label": [None, -1, 0, 1, 2, 1 << 40]})
_PAIRS = Rows(
    schema(key="string", label="int64", copies="int64"),
    {"key": _KEYS, "label": [None, -1, 0, 1, 2, (1 << 31) - 1], "copies": [1, 2, 1 << 40]},
)
_SCORED = Rows(
    schema(key="string", label="int32", score="int32"), {"key": _KEYS, "label": [0, 1, 7], "score": [0, 1, 2, 65536]}
)
_LEFT_OUT = Rows(schema(key="string"), {"key": ["a", "b"]})
_CUTOFFS = Rows(
    schema(label="int32", chosen="int64", score="int32", last_key="string"),
    {"label": [0, 1], "chosen": [0, 1], "score": [-1, 0, 1, 65536], "last_key": ["", "a", "\uffff", "\U0001f600"]},
)
_CHOSEN = Rows(
    schema(key="string", label="int64", score="int32"), {"label": [0, 1, 7], "score": [0, 1, 65536]}, ("key",)
)
_BESTS = Rows(schema(key="string", score="int32"), {"score": [0, 1, 65536]}, ("key",))
_ORIGINS = Rows(
    schema(part="int32", origin="string", spread="int64", urls="int64"), {"urls": [1, 2, 1 << 40], "origin": _KEYS}
)
_ANSWERS = Rows(
    schema(origin="string", reason="string", detail="string", rules="string", kept="string"), {"origin": _KEYS}
)
CASES: dict[str, Case] = {
    "best_counts": Case({"best_scores": _BESTS}, order=("score",)),
    "best_scores": Case({"scored": _SCORED, "cutoffs": _CUTOFFS, "left_out": _LEFT_OUT}),
    "chosen_counts": Case({"label_rows": _CHOSEN}, order=("label",)),
    "chosen_images": Case({"label_rows": _CHOSEN}),
    "chosen_places": Case(
        {
            "label_rows": _CHOSEN,
            "places": Rows(schema(label="int64", place="int64"), {"label": [0, 1], "place": [1, 2, 3, 9]}),
            "sample_locations": Rows(_LOCATIONS.schema, unique=("key",)),
        },
        order=("label", "place"),
    ),
    "chosen_rows": Case({"scored": _SCORED, "cutoffs": _CUTOFFS, "left_out": _LEFT_OUT}),
    "copies": Case({"exact": _GROUPS}),
    "crowd_rows": Case({"tagged": _TAGGED, "exact": _GROUPS, "asked": _KEEPERS}),
    "crowd_tags": Case({"crowd_rows": Rows(schema(keeper="int64", url="string", tag="string"), {"keeper": _IDS})}),
    "crowds": Case({"exact": _GROUPS, "large": _KEEPERS, "facts": _APART}, params=[{"urls": 1}, {"urls": 4}]),
    "crowds_top": Case(
        {"crowds": _CROWDS, "known": _NAMED},
        params=[{"urls": 1, "most": 5}, {"urls": 1 << 62, "most": 5}, {"urls": 3, "most": 2000}],
        order=("urls", "keeper"),
    ),
    "decided": Case({"dropped": _DROPPED, "heldout": _PLACED}),
    "dropped": Case({"early": _DROPPED, "leaked": _PLACED, "near": _NEAR, "copies": _GROUPS}),
    "duplicates": Case({"rejects": _REJECTS}),
    "early": Case({"known": _NAMED, "exact": _GROUPS, "placeholders": _KEEPERS}),
    "evaluation_exact": Case(
        {"facts": _APART, "exactly": Rows(schema(key="string", entry="int64"), {"key": _KEYS}), "removed": _ROWS}
    ),
    "evaluation_keys": Case({"facts": _APART, "matched": _ROWS}, order=("key", "row_id")),
    "exact": Case({"facts": _APART, "repeated": Rows(schema(holdout_order="int64"), {"holdout_order": [-7, 0]})}),
    "heads": Case({"ranks": _RANKS, "alike": _ALIKE}),
    "hosts": Case({"origins": _ORIGINS}, order=("spread", "origin")),
    "hosts_total": Case({"origins": _ORIGINS}),
    "known": Case({"facts": _APART, "existing": _EXISTING}),
    "known_ranks": Case({"ranks": _RANKS}),
    "known_total": Case({"known": _NAMED}),
    "label_counts": Case({"label_pairs": _PAIRS, "sample_locations": _LOCATIONS}, params=[{"last": 1}, {"last": 0}]),
    "label_pairs": Case({"label_rows": _LABELLED}),
    "label_places": Case(
        {"label_pairs": _PAIRS, "sample_locations": _LOCATIONS},
        params=[{"last": 1}, {"last": 0}],
        order=("shard", "ordinal", "label"),
    ),
    "last_best": Case(
        {"best_scores": _BESTS},
        params=[{"score": 1, "room": 1}, {"score": 65536, "room": 7}, {"score": 5, "room": 3}],
    ),
    "large": Case({"exact": _GROUPS}, params=[{"urls": 1}, {"urls": 20}]),
    "most_labels": Case({"label_rows": Rows(_CHOSEN.schema, {"key": _KEYS})}),
    "named_labels": Case(
        {
            "named_rows": Rows(schema(key="string", name="string")),
            "label_names": Rows(schema(name="string", label="int64"), {"label": [-1, 0, 1]}),
        }
    ),
    "near": Case({"ranks": _RANKS, "alike": _ALIKE, "heads": _HEADS, "yielded": _YIELDED}),
    "near_rows": Case({"edges": _EDGES, "alike": _ALIKE}),
    "ordered": Case(
        {"edges": _EDGES, "heads": _HEADS}, params=[{"existing": 0}, {"existing": 2}], order=("better", "worse")
    ),
    "placeholders": Case({"crowds": _CROWDS, "known": _NAMED}, params=[{"urls": 1}, {"urls": 4}]),
    "ranks": Case(
        {
            "facts": _APART,
            "near_rows": _ROWS,
            "existing": Rows(_EXISTING.schema, _EXISTING.pools, unique=("row_id",)),
        }
    ),
    "ranks_total": Case({"ranks": _RANKS}),
    "removed": Case({"copies": _GROUPS, "early": _DROPPED}),
    "repeated": Case({"facts": _FACTS}),
    "rules": Case({"origins": _ORIGINS, "answers": _ANSWERS}, order=("part", "origin")),
    "score_counts": Case({"scored": _SCORED, "left_out": _LEFT_OUT}, order=("label", "score")),
    "split": Case(
        {
            "facts": Rows(_FACTS.schema, {**_FACTS.pools, "reason": [None, "empty"]}, unique=("key",)),
            "dropped": _DROPPED,
        },
        params=[{"holdout": 0}, {"holdout": 5}, {"holdout": 1000}],
        order=("row_id",),
    ),
    "survivors": Case({"facts": _APART, "removed": _ROWS, "existing": _EXISTING}),
    "tied_keys": Case(
        {
            "scored": _SCORED,
            "lowest": Rows(
                schema(label="int32", score="int32", room="int64"), {"score": [0, 1, 2], "room": [1, 2, 9]}, ("label",)
            ),
            "left_out": _LEFT_OUT,
        }
    ),
    "union": Case(
        {
            "rejects": _REJECTS,
            "sample_locations": _LOCATIONS,
        },
        order=("shard", "ordinal", "tag"),
    ),
}
