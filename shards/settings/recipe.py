"""Recipes: TOML files with values of a dataclass's fields, which may build on one another."""

import difflib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import fits, hints_of, remedy_of

MOST_FILES = 8
"""Recipes that may build on one another, the first one included."""
MOST_BYTES = 1 << 20  # of a recipe


def read_recipe(
    path: str | Path,
    config: type,
    without: Collection[str] = (),
    alternatives: Sequence[Collection[str]] = (),
) -> dict[str, Any]:
    """Reads the values of fields of `config`: lists become tuples, and whole numbers floats where the field is one. Fields in
    `without` cannot be set.

    A key `base` names another recipe, relative to the folder of the one that has it. Its values hold where the recipe itself
    has none; a value of one of several `alternatives` replaces all of them. Raises ConfigError for an unknown key, with the
    nearest name, for a value that does not fit, and for recipes whose bases are a circle or too many.
    """
    hints = {name: hint for name, hint in hints_of(config).items() if name not in without}
    found = dict[str, Any]()
    for each, values in reversed(_files_of(Path(path))):
        _refuse_unknown(each, values, hints)
        own = {name: _value_of(hints[name], value, name, each) for name, value in values.items()}
        found = {name: value for name, value in found.items() if name not in replaced(own, alternatives)} | own
    return found


def replaced(given: Collection[str], alternatives: Sequence[Collection[str]]) -> set[str]:
    """Returns the fields whose earlier values do not hold any more, because another one of their `alternatives` is given."""
    return {name for group in alternatives if any(one in given for one in group) for name in group}


def _files_of(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The recipe and its bases, each with its values."""
    found = list[tuple[Path, dict[str, Any]]]()
    seen = list[Path]()
    while True:
        values = _toml_of(path, found[-1][0] if found else None)
        if path.resolve() in seen:
            chain = " -> ".join(str(each) for each, _ in [*found, (path, {})])
            raise ConfigError(f"recipes whose bases are a circle: {chain}", path, "take one base out")
        if len(found) == MOST_FILES:
            raise ConfigError(f"more than {MOST_FILES} recipes build on one another", found[0][0], "join some of them")
        seen.append(path.resolve())
        base = values.pop("base", None)
        found.append((path, values))
        if base is None:
            return found
        if not isinstance(base, str) or not base:
            raise ConfigError(f"base = {base!r}", path, "give the name of a TOML file, relative to this one's folder")
        path = path.parent / base


def _toml_of(path: Path, above: Path | None) -> dict[str, Any]:
    """The values in a file; `above`: the recipe whose base it is."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"a file of more than {MOST_BYTES:,} bytes")
        return tomllib.loads(text.decode())
    except (OSError, ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        remedy = f"correct the base in {above}" if above else "give a TOML file, such as those in recipes/"
        raise ConfigError(f"no recipe: {said}", path, remedy) from error


def _refuse_unknown(path: Path, values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    if unknown := sorted(values.keys() - hints.keys()):
        near = difflib.get_close_matches(unknown[0].replace("-", "_").lower(), hints, 1)
        nearest = f"did you mean {near[0]}? " if near else ""
        remedy = f"{nearest}the fields are {', '.join(sorted(hints))}"
        raise ConfigError(f"no such fields: {', '.join(unknown)}", path, remedy)


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
