"""The `tagmill` command in a process of its own that a SIGKILL ends in the middle of a write."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# One process imports the libraries, and each run is a fork of it: a start of Python for every kill would take far longer.
_CONTEXT.set_forkserver_preload(["tagmill.cli", "tagmill.transfer.command.transfer_command"])


def ended(words: Sequence[str], killed_in: int | str | None = None) -> int | None:
    """Runs `tagmill WORDS` and returns its exit status: -9 if it was killed. `killed_in`: in which write of an object, counted
    from 1, or the first one whose folder and name contain this; half of the bytes are in place then."""
    process = _CONTEXT.Process(target=_run, args=(list(words), killed_in))
    process.start()
    process.join(300)
    return process.exitcode


def _run(words: list[str], killed_in: int | str | None) -> None:
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
