"""The shared subset of SQL, in which all engines give equal answers: checks statements, and translates them to Spark.

sqlglot parses a statement as DuckDB SQL. Constructs that are not known to mean the same everywhere are refused, because
their translation may be silently wrong: ORDER BY inside an aggregate, integer division, shifts and bit counts of other
types, sums of floats. Beside it only row_filter/condition.py imports sqlglot.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

_STRUCTURE = (
    *(
        exp.Select,
        exp.From,
        exp.Table,
        exp.TableAlias,
        exp.Alias,
        exp.Subquery,
        exp.With,
        exp.CTE,
        exp.Union,
        exp.Paren,
    ),
    *(exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Join, exp.Qualify, exp.Distinct),
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Placeholder, exp.Star, exp.Tuple),
)
_CONDITIONS = (
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between),
    *(exp.Exists, exp.NullSafeEQ, exp.NullSafeNEQ),
)
_VALUES = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.DPipe, exp.Case, exp.If, exp.Coalesce, exp.Least, exp.Greatest, exp.Cast),
    *(exp.DataType, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseRightShift),
)
_AGGREGATES = (exp.Count, exp.Sum, exp.Min, exp.Max)
_ORDERED_WINDOWS = (exp.FirstValue, exp.RowNumber)
_WINDOWS = (exp.Window, exp.WindowSpec, *_ORDERED_WINDOWS)
_LISTS = (exp.Unnest, exp.Explode, exp.ArraySize)
ALLOWED = frozenset([*_STRUCTURE, *_CONDITIONS, *_VALUES, *_AGGREGATES, *_WINDOWS, *_LISTS])
NAMED = frozenset(["bit_count", "cardinality"])  # functions for which sqlglot has no class

_BOUND = re.compile(r"[a-z][a-z0-9_]*")  # a table name that cannot be a file name
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In)
_TYPES = frozenset([exp.DataType.Type[name] for name in ("BIGINT", "INT", "VARCHAR", "TEXT", "BOOLEAN")])
_INTEGERS = frozenset([exp.DataType.Type[name] for name in ("BIGINT", "INT")])


def faults(text: str) -> list[str]:
    """Returns what keeps a statement out of the shared subset, in words; empty if it is inside."""
    try:
        statements = parse(text, read="duckdb")
    except SqlglotError as error:
        return [f"does not parse: {error}"]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return ["is not one query"]
    return [f"{fault}: {node.sql('duckdb')[:80]}" for node in statements[0].walk() for fault in _faults_of(node)]


def to_spark(text: str) -> str:
    """Translates a statement to Spark SQL, with its parameters as `:name`."""
    (statement,) = parse(text, read="duckdb")
    assert statement is not None, text
    return statement.sql("spark", comments=False)


def _faults_of(node: exp.Expr) -> Iterator[str]:
    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in NAMED:
            yield f"the function {node.name}"
    elif type(node) not in ALLOWED:
        yield f"{type(node).__name__} is outside"
    for kinds, check in _CHECKS:
        if isinstance(node, kinds):
            yield from check(node)


def _typed(node: exp.Expr) -> Iterator[str]:
    """Checks for a cast: engines return bit counts, sizes and row numbers as different types."""
    above = node.parent
    while isinstance(above, exp.Paren | exp.Window):
        above = above.parent
    compared = isinstance(above, _COMPARISONS) and not isinstance(node, exp.Sum)
    if not compared and not _is_cast(above, _INTEGERS):
        yield "cast its result to BIGINT or INTEGER"


def _is_cast(node: exp.Expr | None, types: frozenset[Any]) -> bool:
    return isinstance(node, exp.Cast) and node.to.this in types


def _sum(node: exp.Expr) -> Iterator[str]:
    if not _is_cast(node.this, _INTEGERS):
        yield "cast what is summed to BIGINT: sums of floats depend on their order"


def _cast(node: exp.Expr) -> Iterator[str]:
    if type(node) is not exp.Cast or node.to.this not in _TYPES:
        yield "no cast to this type"


def _literal(node: exp.Expr) -> Iterator[str]:
    if not node.args["is_string"] and not node.name.isdigit():
        yield "only whole numbers"


def _shift(node: exp.Expr) -> Iterator[str]:
    """Checks the width: a shift beyond the width of its type wraps on one engine and gives 0 on another."""
    by, shifted = node.expression.unnest(), node.this.unnest()
    known = isinstance(by, exp.Literal) and by.name.isdigit() and int(by.name) < 64
    if not known and not isinstance(by, exp.Placeholder):
        yield "shift by a number from 0 to 63 or a parameter"
    elif not (known and int(by.name) < 32) and not _is_cast(shifted, frozenset([exp.DataType.Type.BIGINT])):
        yield "cast what is shifted by more than 31 to BIGINT"


def _order(node: exp.Expr) -> Iterator[str]:
    if not isinstance(node.parent, exp.Query | exp.Window):
        yield "ORDER BY inside an aggregate"
    if any(isinstance(ordered.this, exp.Literal) for ordered in node.expressions):
        yield "order by names, not by positions"


def _group(node: exp.Expr) -> Iterator[str]:
    if any(isinstance(key, exp.Literal) for key in node.expressions) or any(
        node.args.get(name) for name in ("all", "cube", "rollup", "grouping_sets", "totals")
    ):
        yield "group by names alone"


def _limit(node: exp.Expr) -> Iterator[str]:
    assert node.parent is not None
    if not node.parent.args.get("order"):
        yield "LIMIT without ORDER BY"


def _star(node: exp.Expr) -> Iterator[str]:
    if not isinstance(node.parent, exp.Count):
        yield "name the columns"


def _window(node: exp.Expr) -> Iterator[str]:
    if isinstance(node.this, _ORDERED_WINDOWS) and not node.args.get("order"):
        yield "a window whose order decides needs an ORDER BY"
    if isinstance(node.this, exp.IgnoreNulls | exp.RespectNulls):
        yield "say nothing about nulls in a window"


def _unwindowed(node: exp.Expr) -> Iterator[str]:
    if not isinstance(node.parent, exp.Window):
        yield "only as a window"


def _unnest(node: exp.Expr) -> Iterator[str]:
    select = node.parent.parent if isinstance(node.parent, exp.Alias) else None
    if not isinstance(select, exp.Select) or node.parent not in select.expressions:
        yield "UNNEST only as a selected column with a name"
    of = node.expressions[0] if isinstance(node, exp.Unnest) else node.this
    if not isinstance(of, exp.Column) or node.args.get("offset"):
        yield "UNNEST only of a column, without ordinality"


def _select(node: exp.Expr) -> Iterator[str]:
    if sum(1 for column in node.expressions if column.find(exp.Unnest, exp.Explode)) > 1:
        yield "one UNNEST a SELECT"
    if node.args.get("qualify") and not all(column.alias_or_name for column in node.expressions):
        yield "QUALIFY where a column has no name"
    if any(isinstance(on, exp.Expr) for on in _distinct_on(node)):
        yield "DISTINCT ON"


def _distinct_on(node: exp.Expr) -> Iterator[object]:
    distinct = node.args.get("distinct")
    yield distinct.args.get("on") if distinct else None


def _table(node: exp.Expr) -> Iterator[str]:
    if not isinstance(node.this, exp.Identifier) or node.args.get("db") or not _BOUND.fullmatch(node.name):
        yield "only tables that the engine binds: no files, no functions"


def _join(node: exp.Expr) -> Iterator[str]:
    if node.args.get("method") or str(node.args.get("kind") or "") not in (
        "",
        "INNER",
        "OUTER",
        "CROSS",
        "SEMI",
        "ANTI",
    ):
        yield "no join of this kind"


def _set(node: exp.Expr) -> Iterator[str]:
    if node.args.get("by_name") or node.args.get("recursive"):
        yield "no RECURSIVE, no BY NAME"


def _extreme(node: exp.Expr) -> Iterator[str]:
    if node.args.get("expressions") or node.args.get("count"):
        yield "the extreme alone: LEAST and GREATEST are for several values"


_CHECKS = (
    ((exp.Anonymous, exp.Sum, exp.RowNumber, exp.ArraySize), _typed),
    (exp.Sum, _sum),
    (exp.Cast, _cast),
    (exp.Literal, _literal),
    (exp.BitwiseRightShift, _shift),
    (exp.Order, _order),
    (exp.Group, _group),
    (exp.Limit, _limit),
    (exp.Star, _star),
    (exp.Window, _window),
    (_ORDERED_WINDOWS, _unwindowed),
    ((exp.Unnest, exp.Explode), _unnest),
    (exp.Select, _select),
    (exp.Table, _table),
    (exp.Join, _join),
    ((exp.With, exp.Union), _set),
    ((exp.Min, exp.Max), _extreme),
)
