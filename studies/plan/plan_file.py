"""The plan of a study as a file: written once before the first run, and compared at every later start."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tagmill.shards import ConfigError, Store
from tagmill.transfer.outcome.canonical import canonical_json

PLAN = "plan.json"
PLAN_FORMAT = 1


def keep_plan(store: Store, plan: Mapping[str, Any]) -> None:
    """Writes the plan, or compares it with the one that is there. Raises ConfigError where they differ, with the first
    difference."""
    data = canonical_json(plan, indent=1)
    if store.put_new(PLAN, data):
        return
    there = store.read(PLAN)
    if there == data:
        return
    try:
        before = json.loads(there)
    except ValueError as error:
        raise ConfigError("not a plan", f"{store.url}/{PLAN}", "give another --output") from error
    where, old, new = next(differences(before, json.loads(data)), ("format", "another", "this"))
    if where == "code":
        what = f"a study by other code: {old}, and this is {new}"
        remedy = "give another --output, or continue with the version that began it"
    else:
        what = f"a study of another plan: {where} is {_short(old)} there, and {_short(new)} now"
        remedy = "give the same flags, recipe and corpus as before, or another --output"
    raise ConfigError(what, f"{store.url}/{PLAN}", remedy)


def differences(before: object, after: object, where: str = "") -> Iterator[tuple[str, object, object]]:
    """Yields (place, value before, value after) of what differs between two values of JSON; the code comes first, as it may
    change the rest."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys(), key=lambda name: (name not in _FIRST, name in _LAST, name))
        for name in names:
            place = f"{where}.{name}" if where else name
            yield from differences(before.get(name), after.get(name), place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{where}[{number}]")
    elif before != after:
        yield where, before, after


_FIRST, _LAST = ("format", "code", "study"), ("runs",)  # digests of runs follow from the rest


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    return json.dumps(value)[:60]
