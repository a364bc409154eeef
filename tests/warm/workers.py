"""The server that multiprocessing forks workers from: with the imports of all test files, or as a fork of the process that
needs it, whose imports it has."""

import os
from contextlib import suppress
from multiprocessing import forkserver, util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_spawn = util.spawnv_passfds
PRELOADED = "tests.warm.preloaded"


def fork_the_server_of_workers() -> None:
    """Lets this process, which was forked itself, begin that server by a fork: a new Python would import all of it again."""
    util.spawnv_passfds = _with_a_forked_server  # type: ignore[assignment]


def preload_the_server_of_workers(patch: "pytest.MonkeyPatch") -> None:
    """Has that of this process import what is in `preloaded`, in addition to what its first user wants."""
    preload = forkserver.set_forkserver_preload
    patch.setattr(forkserver, "set_forkserver_preload", lambda names: preload([*names, PRELOADED]))
    preload([PRELOADED])


def _with_a_forked_server(path: bytes, arguments: "list[str]", kept: "list[int]") -> int:
    """It is a child of the run, as ever."""
    if "forkserver" not in arguments[-1]:
        return _spawn(path, arguments, kept)
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if number > 2 and number not in kept:
                with suppress(OSError):  # that of the listing itself is closed already
                    os.close(number)
        forkserver.main(kept[0], kept[1], [])
    finally:
        os._exit(0)
