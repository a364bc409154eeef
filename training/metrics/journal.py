"""JSON lines of a run: one file that grows in a folder, numbered parts in a bucket."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tagmill.shards import Store, TagmillError

PART_BYTES = 1 << 20
"""A part in a bucket is complete at this size, so that no write is larger."""
FLUSH_SECONDS = 60.0
"""Lines in a bucket are visible after this time at the latest, or when the run saves a checkpoint."""
LONGEST_LINE = 1 << 20  # bytes; a file without line ends is not read into memory


class Journal:
    """Lines of one kind: `NAME.jsonl` in a folder, to which lines are appended; in a bucket, where nothing can be appended,
    the parts `NAME/000000.jsonl`, `NAME/000001.jsonl` and so on, of which only the last is written again.

    Every line has a "step".
    """

    def __init__(self, store: Store, name: str, step: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Keeps the lines up to `step`, from which the run continues, and drops later ones and a truncated last one. Raises
        TagmillError for a line that is none of a run."""
        self._store, self._name, self._clock = store, name, clock
        self._part, self._lines, self._unsaved = 0, b"", False
        self.last = 0
        """Step of the last line; 0 without lines."""
        self._flushed = clock()
        if store.root is not None:
            self._keep_file(step)
        else:
            self._keep_parts(step)

    def add(self, line: Mapping[str, Any]) -> None:
        """Adds a line. Raises ValueError for a number that JSON does not have (NaN, infinity), and TagmillError for a folder
        that cannot be written."""
        text = json.dumps(line, allow_nan=False).encode() + b"\n"
        self.last = int(line["step"])
        if self._store.root is not None:
            self._append(self._store.root / f"{self._name}.jsonl", text)
            return
        if self._lines and len(self._lines) + len(text) > PART_BYTES:
            self.flush()
            self._part, self._lines = self._part + 1, b""
        self._lines, self._unsaved = self._lines + text, True
        if self._clock() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def _append(self, path: Path, text: bytes) -> None:
        try:
            with path.open("ab") as file:
                file.write(text)
        except OSError as error:
            remedy = "free space or fix permissions; the same command continues from the last checkpoint"
            raise TagmillError(f"a line of the metrics was not written: {error.strerror}", path, remedy) from error

    def flush(self) -> None:
        """Writes what a bucket does not have yet: one object of at most PART_BYTES, or of one line."""
        self._flushed = self._clock()
        if self._unsaved:
            self._store.put(self._part_name(self._part), self._lines)
            self._unsaved = False

    def _keep_file(self, step: int) -> None:
        name = f"{self._name}.jsonl"
        try:
            with self._store.open(name) as file:
                kept, self.last = _kept(
                    iter(lambda: file.readline(LONGEST_LINE), b""), step, f"{self._store.url}/{name}"
                )
        except FileNotFoundError:
            kept = b""
        self._store.put(name, kept)

    def _keep_parts(self, step: int) -> None:
        """Reads parts from the last one back, until one has a line that is kept."""
        names = sorted(name for name in self._store.names(self._name) if name.endswith(".jsonl"))
        dropped = []
        for name in reversed(names):
            if self._store.size(name) > PART_BYTES + LONGEST_LINE:
                raise _strange(1, f"{self._store.url}/{name}")
            whole = self._store.read(name)
            kept, self.last = _kept(iter(whole.splitlines(keepends=True)), step, f"{self._store.url}/{name}")
            if kept:
                self._part, self._lines = _number_of(name), kept
                if kept != whole:
                    self._store.put(name, kept)
                break
            dropped.append(name)
        self._store.delete_many(dropped)

    def _part_name(self, number: int) -> str:
        return f"{self._name}/{number:06d}.jsonl"


def _kept(lines: Iterator[bytes], step: int, where: str) -> tuple[bytes, int]:
    """Returns the lines up to `step`, and the step of the last of them."""
    found, last = [], 0
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            if len(line) >= LONGEST_LINE:
                raise _strange(number, where)
            break  # the last one, truncated
        try:
            own = int(json.loads(line)["step"])
        except (ValueError, LookupError, TypeError) as error:
            raise _strange(number, where) from error
        if own <= step:
            found.append(line)
            last = max(last, own)
    return b"".join(found), last


def _number_of(name: str) -> int:
    stem = name.rpartition("/")[2].removesuffix(".jsonl")
    if not stem.isdecimal():
        raise TagmillError("a file that is none of a run", name, "move it away")
    return int(stem)


def _strange(number: int, where: str) -> TagmillError:
    return TagmillError(f"line {number} has no step", where, "move the file away, or give another --output")
