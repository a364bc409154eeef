"""Lines as numbers by name, for programs that draw curves."""

from collections.abc import Iterator, Mapping
from typing import Any


def flat(line: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Yields the numbers of a line with names such as `evaluations/labels/tail/recall_at_5`; no texts, lists and switches,
    and not the step, which is the axis."""
    for name, value in line.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}/{name}")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "step":
            yield f"{prefix}/{name}", value
