"""A worker's decoder processes: one body at a time each, ended when it takes too long, replaced when it dies over one."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.decoder import HEAD, SIZE, Orders, Picture, parsed
from tagmill.ingest.images import Rejected
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError

PROGRAM = "tagmill.ingest.decoder"
PATIENCE = 120.0  # seconds in which a decoder must have started
# Bytes that a picture may take in a decoder: some, and so many a pixel. A 16-bit grey picture takes the most, 34 a pixel.
SOME_MEMORY, PIXEL_MEMORY = 1 << 30, 48
_MOST_FACTS = 1 << 16  # bytes


class Decoders:
    """Up to `config.decoders` processes, started when they are first needed, for one part after the other.

    A context is the use by one event loop; between two the processes wait. `end` ends them, as do the end of this process
    and of this object. They run a program of their own and no `multiprocessing`, so that they can be had wherever Python
    runs; `program` is its module.
    """

    def __init__(self, config: IngestConfig, program: str = PROGRAM) -> None:
        self._timeout, self._program = config.decode_timeout, program
        memory = SOME_MEMORY + PIXEL_MEMORY * config.max_pixels + 4 * config.max_bytes
        self._orders = Orders(config.images, memory, os.getpid())
        self._number, self._free = config.decoders, asyncio.Semaphore(0)
        self._idle: list[_Process] = []
        self.end = weakref.finalize(self, _end, self._idle)

    def __enter__(self) -> Self:
        self._free = asyncio.Semaphore(self._number)  # it belongs to an event loop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """To be left when nothing is being decoded any more."""

    async def decode(self, body: bytes) -> Picture | Rejected:
        """The picture that a body gives, or why it gives none. Raises TagmillError where no decoder can be started."""
        async with self._free:
            process = await self._ready()
            try:
                async with asyncio.timeout(self._timeout):
                    facts, jpeg = await process.ask(body)
            except TimeoutError:
                process.end()
                return Rejected(Reason.DECODER_TIMEOUT, f"not done within {self._timeout:g} s")
            except (EOFError, ConnectionError):
                return Rejected(Reason.DECODER_CRASHED, _how(process.end()))
            except BaseException:  # we are cancelled, and its answer would be taken for another's
                process.end()
                raise
            self._idle.append(process)
            return parsed(facts, jpeg)

    async def _ready(self) -> "_Process":
        while self._idle:
            process = self._idle.pop()
            if process.lives():  # else somebody killed it meanwhile, and no picture is to blame
                return process
            process.end()
        return await _started(self._program, self._orders)


class _Process:
    """A decoder process and our end of the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process, self._socket = process, connection

    def lives(self) -> bool:
        return self._process.poll() is None

    async def ask(self, message: bytes) -> tuple[bytes, bytes]:
        """The answer's JSON and JPEG. Raises EOFError or ConnectionError where the process dies over it."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, SIZE.pack(len(message)) + message)
        facts, jpeg = HEAD.unpack(await self._read(HEAD.size))
        if facts > _MOST_FACTS:  # a codec that was taken over
            raise EOFError
        answer = await self._read(facts + jpeg)
        return answer[:facts], answer[facts:]

    async def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        view, loop = memoryview(buffer), asyncio.get_running_loop()
        while view:
            received = await loop.sock_recv_into(self._socket, view)
            if not received:
                raise EOFError
            view = view[received:]
        return bytes(buffer)

    def end(self) -> int:
        """Ends it, if it has not ended, and returns the status that it ended with, as `Popen.returncode`."""
        self._socket.close()
        self._process.kill()
        return self._process.wait()


def _end(idle: list[_Process]) -> None:
    while idle:
        idle.pop().end()


async def _started(program: str, orders: Orders) -> _Process:
    """A decoder that is ready for bodies."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs, tempfile.TemporaryFile() as words:
        # It finds what this process finds; and it is one of many, so threads beside it have no core to run on.
        path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", program]
        try:
            process = _Process(
                subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=words, env=environment
                ),
                ours,
            )
        except OSError as error:
            ours.close()
            raise _not_started(program, str(error)) from error
        theirs.close()  # or we would wait for an end that we hold ourselves
        try:
            async with asyncio.timeout(PATIENCE):
                await process.ask(orders.packed())
        except (EOFError, OSError) as error:  # a TimeoutError too
            status = process.end()
            raise _not_started(program, _last_words(words) or _how(status)) from error
        except BaseException:
            process.end()
            raise
    return process


def _not_started(program: str, why: str) -> TagmillError:
    remedy = "see that this machine has memory and processes left and tagmill is installed whole, then run it again"
    return TagmillError(f"a decoder process does not start: {why}", f"python -m {program}", remedy)


def _last_words(words: BinaryIO) -> str:
    words.seek(0)
    lines = words.read().decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _how(status: int) -> str:
    """An end as a person calls it: the signal's name, or the exit status."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:  # real-time signals have numbers only
        return f"signal {-status}"
