"""Decoders of pictures as forks of the worker that needs them: a new Python takes half a second of a processor for each.

Tests of the decoders themselves begin them as ever; this is for workers, which tests begin hundreds of times.
"""

import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import BinaryIO

from tagmill.ingest.images import decode_pool, decode_worker


def fork_decoders() -> None:
    """From now on this process and its forks fork decoders."""
    decode_pool.subprocess = SimpleNamespace(Popen=ForkedDecoder, DEVNULL=os.devnull)  # type: ignore[assignment]


class ForkedDecoder:
    """As `subprocess.Popen`, as far as a pool of decoders uses it."""

    def __init__(
        self, command: Sequence[str], *, stdin: int, stdout: object, stderr: BinaryIO, env: Mapping[str, str]
    ) -> None:
        assert command[1:] == ["-P", "-m", decode_pool.PROGRAM], command
        del stdout
        self._status: int | None = None
        self._pid = os.fork()
        if not self._pid:
            status = 1
            try:
                _become_a_decoder(stdin, stderr.fileno(), env)
                status = 0
            except SystemExit as ending:
                status = ending.code if isinstance(ending.code, int) else 1
            except BaseException:  # noqa: BLE001
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(status)

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int:
        status = self._ended(0)
        assert status is not None
        return status

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def _ended(self, how: int) -> int | None:
        if self._status is None:
            process, status = os.waitpid(self._pid, how)
            if process:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status


def _become_a_decoder(stdin: int, stderr: int, environment: Mapping[str, str]) -> None:
    """Keeps nothing of the worker but its imports: a socket that stays open would hide the worker's end."""
    signal.set_wakeup_fd(-1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number, file in ((0, stdin), (1, nowhere), (2, stderr)):
        os.dup2(file, number)
    os.closerange(3, 1 << 16)
    sys.stdin, sys.stderr = os.fdopen(0, "r"), os.fdopen(2, "w")
    os.environ.clear()
    os.environ.update(environment)
    decode_worker.main()
