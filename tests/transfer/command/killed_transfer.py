"""The `tagmill` command in a process of its own that a SIGKILL ends in the middle of a write."""

import os
import signal
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from tests.warm.python import called


def ended(call: Path, words: Sequence[str], killed_in: int | str | None = None) -> int:
    """Runs `tagmill WORDS` by the file `call`, which is not there yet, and returns its exit status: -9 if it was killed.
    `killed_in`: in which write of an object, counted from 1, or the first one whose folder and name contain this; half of the
    bytes are in place then."""
    return called(call, run_to_its_end, list(words), killed_in).wait(300)


def run_to_its_end(words: list[str], killed_in: int | str | None) -> None:
    from tagmill.cli import main
    from tagmill.shards.storage import local_store

    usual, number = local_store.write_synced, 0

    def counted(path: Path, source: bytes | Path, **how: Any) -> None:
        nonlocal number
        number += 1
        place = f"{path.parent.name}/{path.name}"
        if number == killed_in or (isinstance(killed_in, str) and killed_in in place):
            data = source if isinstance(source, bytes) else source.read_bytes()
            path.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        usual(path, source, **how)

    local_store.write_synced = counted  # type: ignore[attr-defined]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        main(words)
