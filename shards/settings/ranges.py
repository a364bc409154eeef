"""Ranges of settings: annotations beside a dataclass's fields, and the one check of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tagmill.shards.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `least` to `most`, both included; with `above`, larger than `least`. NaN and infinity are never in it."""

    least: float
    most: float | None = None
    above: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.least if self.above else value >= self.least
        return low and math.isfinite(value) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.above:
            top = "" if self.most is None else f", at most {_number(self.most)}"
            return f"above {_number(self.least)}{top}"
        return (
            f"at least {_number(self.least)}" if self.most is None else f"{_number(self.least)} to {_number(self.most)}"
        )


Count = Annotated[int, Between(1)]
CountOrZero = Annotated[int, Between(0)]
Share = Annotated[float, Between(0, 1)]
Seconds = Annotated[float, Between(0, above=True)]


@cache
def hints_of(config: type) -> dict[str, Any]:
    """The types of a dataclass's fields with their annotations, the fields of its bases included."""
    return get_type_hints(config, include_extras=True)


def range_of(hint: Any) -> Between | None:
    """The range in a field's type, such as `Annotated[int, Between(1)]` or that or None."""
    if get_origin(hint) in (Union, UnionType):
        return next(filter(None, map(range_of, get_args(hint))), None)
    return next((item for item in getattr(hint, "__metadata__", ()) if isinstance(item, Between)), None)


def fits(hint: Any, value: object) -> bool:
    """Whether a value is a number, a switch or a choice as its type says; texts, tuples and other types always fit."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(fits(inner, value) for inner in get_args(hint))
    if origin is Annotated:
        limits = range_of(hint)
        return fits(get_args(hint)[0], value) and (limits is None or value in limits)  # type: ignore[operator]
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if hint in (bool, NoneType):
        return isinstance(value, hint)
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (hint is float and isinstance(value, float) and math.isfinite(value))
    return True


def remedy_of(hint: Any) -> str:
    """What to give for a field of this type, such as "give a whole number of at least 1"."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [remedy_of(inner).removeprefix("give ") for inner in get_args(hint) if inner not in (NoneType, str)]
        return f"give {' or '.join(kinds)}"
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return f"give {choices[0]}" if len(choices) == 1 else f"give one of {', '.join(map(str, choices))}"
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if kind is bool:
        return "give True or False"
    if limits := range_of(hint):
        of = " " if limits.above else " from " if limits.most is not None else " of "
        return f"give a {'whole ' if kind is int else ''}number{of}{limits}"
    return "give a whole number" if kind is int else "give a finite number"


def check_fields(config: Any, where: Callable[[str], str] | str) -> None:
    """Raises ConfigError for the first field whose value does not fit its type or range; `where` names the place of a field."""
    kind: type = type(config)
    for name, hint in hints_of(kind).items():
        if not fits(hint, value := getattr(config, name)):
            place = where if isinstance(where, str) else where(name)
            raise ConfigError(f"{name} = {value!r}", place, remedy_of(hint))


def _number(value: float) -> str:
    """In digits, or as a power of two where that is what it is."""
    for power in range(31, 64) if isinstance(value, int) else ():
        for sign in (1, -1):
            if value == sign << power:
                return f"{'-' if sign < 0 else ''}2^{power}"
        if value == (1 << power) - 1:
            return f"2^{power} - 1"
    return str(value) if isinstance(value, int) else f"{value:g}"
