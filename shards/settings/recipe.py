"""Recipes: TOML files with values of a dataclass's fields."""

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import fits, hints_of, remedy_of


def read_recipe(path: str | Path, config: type, without: Collection[str] = ()) -> dict[str, Any]:
    """Reads the values of fields of `config`: lists become tuples, and whole numbers floats where the field is one. Fields in
    `without` cannot be set. Raises ConfigError for an unknown key, with the nearest name, and for a value that does not fit."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no recipe: {error}", path, "give a TOML file, such as those in recipes/") from error
    hints = {name: hint for name, hint in hints_of(config).items() if name not in without}
    if unknown := sorted(values.keys() - hints.keys()):
        near = difflib.get_close_matches(unknown[0].replace("-", "_").lower(), hints, 1)
        nearest = f"did you mean {near[0]}? " if near else ""
        remedy = f"{nearest}the fields are {', '.join(sorted(hints))}"
        raise ConfigError(f"no such fields: {', '.join(unknown)}", path, remedy)
    return {name: _value_of(hints[name], value, name, path) for name, value in values.items()}


def _value_of(hint: Any, value: Any, name: str, path: str | Path) -> Any:
    """The value as the field's type has it."""
    converted = _converted(hint, value)
    if converted is None:
        raise ConfigError(f"{name} = {value!r}", path, f"give {_described(hint)}")
    if not fits(hint, converted):
        raise ConfigError(f"{name} = {value!r}", path, remedy_of(hint))
    return converted


def _converted(hint: Any, value: Any) -> Any:
    """The value as a type has it, or None where it is of another one. TOML itself has no null."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _converted(inner[0], value)
    if origin in (Union, UnionType):
        return next((found for found in (_converted(each, value) for each in inner) if found is not None), None)
    if origin is Literal:
        return value if any(value == choice and type(value) is type(choice) for choice in inner) else None
    if origin is tuple:
        if not isinstance(value, list):
            return None
        items = [_converted(inner[0], item) for item in value]  # all of one type
        return None if None in items else tuple(items)
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    return value if type(value) is (origin or hint) else None


def _described(hint: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _described(inner[0])
    if origin in (Union, UnionType):
        return _described(inner[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list, each item {_described(inner[0])}"
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    return names.get(hint, "a table")
