"""Runs that are really killed after each of their writes, forked from a process that has imported what they need."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tagmill.shards import Store
from tests.studies.scores.scored import scored


def kill_after_every_write(teacher: str, corpus: str, output: Path) -> None:
    """Starts one run after the other in the same folder. Each is killed by SIGKILL when it has written an object, so that the
    next one finds one more; writes the number of killed runs into a file beside the folder."""
    killed = 0
    while True:
        child = os.fork()
        if not child:
            _die_after_a_write(lambda: scored(teacher, corpus, output))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not status:
            break
        assert status == -signal.SIGKILL, status
        killed += 1
    output.with_suffix(".killed").write_text(str(killed))


def _die_after_a_write(run: Callable[[], object]) -> None:
    put_new = Store.put_new

    def killing(self: Store, *given: Any, **named: Any) -> bool:
        if made := put_new(self, *given, **named):
            os.kill(os.getpid(), signal.SIGKILL)
        return made

    Store.put_new = killing  # type: ignore[method-assign]
    try:
        run()
    except BaseException:  # noqa: BLE001  # the process that waits says what its status was
        os._exit(1)
    os._exit(0)
