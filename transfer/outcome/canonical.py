"""JSON whose bytes are a function of its values: sorted names, finite numbers, ASCII."""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tagmill.shards import TagmillError


def plain(value: object, where: str = "") -> object:
    """Returns a value with tuples as lists, NumPy numbers and arrays as Python's, and names as strings. Raises TagmillError
    for a number that is not finite and for a type that JSON does not have; the error names the place below `where`."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TagmillError(
                f"a number that is not finite: {value}", where or "JSON", "the run that made it is broken"
            )
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(inner, f"{where}.{name}" if where else str(name)) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(inner, f"{where}[{place}]") for place, inner in enumerate(value)]
    raise TagmillError(f"a {type(value).__name__}, which JSON does not have", where or "JSON", "give numbers and texts")


def canonical_json(value: object, indent: int | None = None) -> bytes:
    """Returns a value as JSON in ASCII that ends with a line end. Raises TagmillError as `plain` does."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=True, allow_nan=False, indent=indent)
    return text.encode("ascii") + b"\n"
