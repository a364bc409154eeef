"""A condition on the columns of a row, in a small part of SQL: columns, literals, comparisons, arithmetic, LIKE, IN, IS NULL.

It is evaluated by Arrow on batches of rows. There is no SQL engine, so it can read no file and no setting, and has no
functions: it depends on the row alone. As in SQL, a comparison with NULL is unknown, and an unknown condition is not met.

Numbers are compared as numbers, also where a list has them as text (CSV, JSON, tars); text that is no number is NULL, and so
are NaN and infinities.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from tagmill.ingest.text.text_columns import finite, to_text
from tagmill.shards.errors import ConfigError

MAX_CONDITION = 10_000  # characters
MAX_DEPTH = 200  # of nodes within nodes; a chain of `or` is as deep as it is long
REMEDY = (
    "give a condition on the row's columns with comparisons, arithmetic, and, or, not, in, between, like and is null, "
    'for example "aesthetic > 5 and nsfw < 0.2"'
)
_COMPARE: dict[type[exp.Expr], Callable[..., Any]] = {
    exp.EQ: pc.equal,
    exp.NEQ: pc.not_equal,
    exp.GT: pc.greater,
    exp.GTE: pc.greater_equal,
    exp.LT: pc.less,
    exp.LTE: pc.less_equal,
}
_ARITHMETIC: dict[type[exp.Expr], Callable[..., Any]] = {
    exp.Add: pc.add,
    exp.Sub: pc.subtract,
    exp.Mul: pc.multiply,
    exp.Div: pc.divide,
}
_LOGIC: dict[type[exp.Expr], Callable[..., Any]] = {exp.And: pc.and_kleene, exp.Or: pc.or_kleene}
_LIKE: dict[type[exp.Expr], bool] = {exp.Like: False, exp.ILike: True}
_OTHER = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren),
    *(exp.Not, exp.Neg, exp.Is, exp.In, exp.Between),
)
_PARTS = frozenset(
    ["this", "expression", "expressions", "low", "high", "quoted", "is_string"]
)  # of nodes, that are read
_ALLOWED = frozenset([*_COMPARE, *_ARITHMETIC, *_LOGIC, *_LIKE, *_OTHER])


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    tree: exp.Expr
    columns: tuple[str, ...]  # that it reads, in order of their names

    def met(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Returns which rows meet it, without nulls. Raises ConfigError where a column has a type that it cannot compare."""
        found = _condition(self.tree, batch)
        return pc.fill_null(found, False)


@lru_cache(maxsize=16)
def parsed_condition(text: str) -> Condition:
    """Parses a condition. Raises ConfigError for anything but a condition on columns."""
    if len(text) > MAX_CONDITION:
        raise ConfigError(f"a condition of {len(text):,} characters", "--where", f"give {MAX_CONDITION:,} at most")
    try:
        trees = parse(text, read="duckdb")
        if len(trees) != 1 or trees[0] is None:
            raise ConfigError("not one condition", "--where", REMEDY)
        tree = trees[0]
        for node in tree.walk():
            _check(node)
            if node.depth > MAX_DEPTH:
                raise RecursionError
        if not _is_condition(tree):
            raise ConfigError(f"{tree.sql('duckdb')[:80]} is a value and no condition", "--where", REMEDY)
    except SqlglotError as error:
        raise ConfigError(f"does not parse: {str(error).splitlines()[0][:200]}", "--where", REMEDY) from None
    except RecursionError:
        raise ConfigError("a condition that is nested too deeply", "--where", REMEDY) from None
    columns = sorted({column.name for column in tree.find_all(exp.Column)})
    if not columns:
        raise ConfigError("a condition without a column", "--where", REMEDY)
    return Condition(tree, tuple(columns))


def _check(node: exp.Expr) -> None:
    """Raises ConfigError for a node that is not in the white list, or has parts that are not read."""
    what = node.sql("duckdb")[:80]
    parts = {name for name, value in node.args.items() if value}
    if type(node) not in _ALLOWED or parts - _PARTS - ({"negate"} if type(node) in _LIKE else set()):
        raise ConfigError(f"{what} is not a condition on the row's columns", "--where", REMEDY)
    if isinstance(node, exp.Column) and (node.parts[1:] or not isinstance(node.this, exp.Identifier)):
        raise ConfigError(f"{what}: a column is its name alone; quote one with a dot", "--where", REMEDY)
    if isinstance(node, exp.In) and not all(isinstance(each, exp.Literal | exp.Neg) for each in node.expressions):
        raise ConfigError(f"{what}: IN takes a list of literals", "--where", REMEDY)
    if isinstance(node, exp.In) and not node.expressions:
        raise ConfigError(f"{what}: IN takes a list of literals", "--where", REMEDY)
    if isinstance(node, exp.Like | exp.ILike) and not (
        isinstance(node.expression, exp.Literal) and node.expression.is_string
    ):
        raise ConfigError(f"{what}: the pattern of LIKE is a text", "--where", REMEDY)
    if isinstance(node, exp.Is) and not isinstance(node.expression, exp.Null):
        raise ConfigError(f"{what}: after IS or IS NOT comes NULL", "--where", REMEDY)


def _is_condition(node: exp.Expr) -> bool:
    """Whether a node is true or false; a column may be, which its type tells."""
    inner = node.unnest()
    tests = (*_COMPARE, *_LIKE, exp.Is, exp.In, exp.Between, exp.Boolean, exp.Column, exp.Null)
    if isinstance(inner, (*_LOGIC, exp.Not)):
        parts = [inner.this, inner.expression] if isinstance(inner, tuple(_LOGIC)) else [inner.this]
        return all(map(_is_condition, parts))
    return isinstance(inner, tests)


def _condition(node: exp.Expr, batch: pa.RecordBatch) -> Any:
    """Returns the truth of each row: a boolean array, null where it is unknown."""
    node = node.unnest()
    kind = type(node)
    if kind in _LOGIC:
        return _LOGIC[kind](_condition(node.this, batch), _condition(node.expression, batch))
    if kind is exp.Not:
        return pc.invert(_condition(node.this, batch))
    if kind in _COMPARE:
        return _compared(_COMPARE[kind], _value(node.this, batch), _value(node.expression, batch), len(batch))
    if kind in _LIKE:
        text = _as_text(_value(node.this, batch))
        found = pc.match_like(text, node.expression.this, ignore_case=_LIKE[kind])
        return pc.invert(found) if node.args.get("negate") else found
    if kind is exp.Between:
        low, high = (_value(node.args[name], batch) for name in ("low", "high"))
        value = _value(node.this, batch)
        above = _compared(pc.greater_equal, value, low, len(batch))
        return pc.and_kleene(above, _compared(pc.less_equal, value, high, len(batch)))
    if kind is exp.In:
        value = _value(node.this, batch)
        tests = [_compared(pc.equal, value, _value(each, batch), len(batch)) for each in node.expressions]
        found = tests[0]
        for test in tests[1:]:
            found = pc.or_kleene(found, test)
        return found
    if kind is exp.Is:
        value = _value(node.this, batch)
        return pc.is_null(_finite(value) if pa.types.is_floating(value.type) else value)
    return _truth(_value(node, batch), node)


def _truth(value: Any, node: exp.Expr) -> Any:
    if pa.types.is_boolean(value.type) or pa.types.is_null(value.type):
        return value.cast(pa.bool_())
    raise ConfigError(f"the column of {node.sql('duckdb')[:80]} is neither true nor false", "--where", "compare it")


def _value(node: exp.Expr, batch: pa.RecordBatch) -> Any:
    """Returns the values of each row as an array: int64, float64, boolean or text."""
    node = node.unnest()
    if isinstance(node, exp.Column):
        return _column(batch, node.name)
    if isinstance(node, exp.Literal):
        return _repeated(_number(node.this) if not node.is_string else pa.scalar(node.this), len(batch))
    if isinstance(node, exp.Boolean):
        return _repeated(pa.scalar(bool(node.this)), len(batch))
    if isinstance(node, exp.Null):
        return pa.nulls(len(batch))
    if isinstance(node, exp.Neg):
        return pc.negate(_as_number(_value(node.this, batch)))
    if type(node) in _ARITHMETIC:
        left, right = (_as_number(_value(each, batch)).cast(pa.float64()) for each in (node.this, node.expression))
        return _finite(_ARITHMETIC[type(node)](left, right))
    return _condition(node, batch)


def _column(batch: pa.RecordBatch, name: str) -> Any:
    column = batch[name]
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return column
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_uint64(kind):
        return _finite(column.cast(pa.float64(), safe=False))
    if pa.types.is_nested(kind):
        raise ConfigError(f"column {name} has lists or objects", "--where", "name a column of numbers or texts")
    return to_text(column)


def _number(text: str) -> pa.Scalar:
    if text.isdigit() and len(text) < 19:
        return pa.scalar(int(text), pa.int64())
    return pa.scalar(float(text), pa.float64())


def _repeated(value: pa.Scalar, count: int) -> pa.Array:
    return pa.repeat(value, count)


def _compared(test: Callable[..., Any], left: Any, right: Any, count: int) -> Any:
    """Compares as numbers where one side is a number, as truths where one is true or false, otherwise as text."""
    kinds = left.type, right.type
    if any(map(pa.types.is_null, kinds)):
        return pa.nulls(count, pa.bool_())
    if any(_is_number(kind) for kind in kinds):
        left, right = _as_number(left), _as_number(right)
        if left.type != right.type:
            left, right = left.cast(pa.float64(), safe=False), right.cast(pa.float64(), safe=False)
    elif kinds[0] != kinds[1]:
        left, right = _as_text(left), _as_text(right)
    return test(left, right)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _as_text(array: Any) -> Any:
    return array if pa.types.is_string(array.type) else to_text(array)


_DECIMAL = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"


def _as_number(array: Any) -> Any:
    """Returns numbers as they are, and those in text as float64; anything else becomes null."""
    if _is_number(array.type):
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), pa.float64())
    text = _as_text(array)
    plain = pc.if_else(
        pc.match_substring_regex(text, _DECIMAL), pc.utf8_trim_whitespace(text), pa.scalar(None, pa.string())
    )
    return _finite(plain.cast(pa.float64()))


def _finite(array: Any) -> Any:
    return finite(array) if pa.types.is_floating(array.type) else array
