"""The metrics of a run: one JSON line for each logged step."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagmill.shards import Store

JOURNAL = "metrics.jsonl"


class Journal:
    """The file metrics.jsonl of an output folder."""

    def __init__(self, store: Store, output: str, step: int) -> None:
        """Keeps the lines up to `step`, from which the run continues, and drops later and truncated ones."""
        self._path = Path(output, JOURNAL)
        whole = [line for line in self._path.open() if line.endswith("}\n")] if self._path.exists() else []
        store.put(JOURNAL, "".join(line for line in whole if json.loads(line)["step"] <= step).encode())

    def add(self, line: Mapping[str, Any]) -> None:
        """Appends a line. Raises ValueError for a number that JSON does not have (NaN, infinity)."""
        text = json.dumps(line, allow_nan=False)
        with self._path.open("a") as file:
            file.write(text + "\n")
