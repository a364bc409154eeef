"""A worker's decoder processes: killed when a body takes too long, replaced when they crash.

One more body is queued in the socket to hide latency. Answers are in order, so a crash is always attributed to the
right body.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from tagmill.ingest.config.images import ImageOptions
from tagmill.ingest.images.decode_worker import ANSWER_HEAD, BODY_SIZE, Orders, Picture, UnreadableError, parsed_answer
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError

PROGRAM = "tagmill.ingest.images.decode_worker"
START_TIMEOUT = 120.0  # seconds in which a decoder must have started
# Bytes that a picture may take in a decoder: some, and so many a pixel. A WebP with alpha takes the most, 21 a pixel.
SOME_MEMORY, PIXEL_MEMORY = 1 << 30, 48
_MOST_FACTS, _MOST_JPEG, _PIECE = 1 << 16, 1 << 30, 1 << 18  # bytes of an answer, and of what is read of it at once
# A decoder is one of many processes, so further threads have no core to run on. glibc keeps the memory of one image for
# the next; else the kernel may spend up to a third of the time on zeroing pages.
_ENVIRONMENT = {
    **dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
}
_UNDER_WAY = 1 << 20  # bytes that a socket may hold; the kernel gives what the system allows
BODIES_AHEAD = 2  # bodies in a decoder: the one that it is at, and the next


class _NotToBlameError(Exception):
    """The process ended over a body that was before this one."""


class Decoders:
    """Up to `config.decoders` processes, started when they are first needed, for one part after the other.

    A context is the use by one event loop; between two the processes wait. `end` ends them, as do the end of this process
    and of this object. They run a program of their own and no `multiprocessing`, so that they can be had wherever Python
    runs; `program` is its module. A body has at most `max_bytes`.
    """

    def __init__(self, config: ImageOptions, max_bytes: int, program: str = PROGRAM) -> None:
        self._timeout, self._program = config.decode_timeout, program
        memory = SOME_MEMORY + PIXEL_MEMORY * config.max_pixels + 4 * max_bytes
        self._orders = Orders(config.images, memory, os.getpid())
        self._number, self._free, self._starting = config.decoders, asyncio.Semaphore(0), asyncio.Lock()
        self._processes: list[_Process] = []
        # Also at the end of a process of a pool, which leaves out `atexit`; and in no process that was forked from this one.
        self.end = Finalize(self, _end, (self._processes,), exitpriority=0)

    def __enter__(self) -> Self:
        self._free, self._starting = (
            asyncio.Semaphore(self._number * BODIES_AHEAD),
            asyncio.Lock(),
        )  # of this event loop
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """To be left when nothing is being decoded any more."""

    async def decode(self, body: bytes) -> Picture | Rejected:
        """The picture that a body gives, or why it gives none. Raises TagmillError where no decoder can be started."""
        async with self._free:
            while True:
                process = await self._process()
                try:
                    if (made := await process.ask(body, self._timeout)) is not None:
                        return made
                    raise UnreadableError
                except _NotToBlameError:
                    continue
                except TimeoutError:
                    process.end()
                    return Rejected(Reason.DECODER_TIMEOUT, f"not done within {self._timeout:g} s")
                except EOFError:
                    return Rejected(Reason.DECODER_CRASHED, _how(process.end()))
                except UnreadableError:  # of a codec that was taken over
                    process.end()
                    return Rejected(Reason.DECODER_CRASHED, "its answer cannot be read")
                except BaseException:  # we are cancelled, and its answer would be taken for another's
                    process.end()
                    raise

    async def _process(self) -> "_Process":
        """One that has nothing to do, else a new one, else one that is at its only body."""
        async with self._starting:
            for process in self._processes:
                if not process.asked and not process.lives():  # killed from outside; no image is to blame
                    process.end()
            self._processes[:] = [process for process in self._processes if not process.ended]
            found = min(self._processes, key=lambda each: each.asked, default=None)
            if found is None or (found.asked and len(self._processes) < self._number):
                found = await _started(self._program, self._orders)
                self._processes.append(found)
            found.asked += 1  # before another looks; `ask` takes it back
            return found


@dataclass(slots=True)
class _Question:
    """A body that a decoder has, or is being sent; its answer, within so many seconds after the one before."""

    answer: asyncio.Future[Picture | Rejected | None]
    seconds: float

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Process:
    """A decoder process and our end of the socket to it. It answers in order, so that what becomes of it is the first's."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process, self._socket = process, connection
        self.asked = 0  # bodies that are in it, or on the way; counted by who asks
        self.ended = False
        self._questions: deque[_Question] = deque()  # the reader is armed while there are some
        self._received = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def lives(self) -> bool:
        return self._process.poll() is None

    async def ask(self, message: bytes, seconds: float) -> Picture | Rejected | None:
        """The answer, None being that to orders, within so many seconds after the answer before it.

        Raises TimeoutError, EOFError or UnreadableError where it hangs, dies or babbles over this message, and
        _NotToBlameError where it has ended over another.
        """
        loop = asyncio.get_running_loop()
        mine = _Question(loop.create_future(), seconds)
        try:
            if self.ended:
                raise _NotToBlameError
            if self._loop is not loop:
                self._loop, self._sending = loop, asyncio.Lock()
            self._questions.append(mine)
            if len(self._questions) == 1:
                loop.add_reader(self._socket, self._read)
                self._wait_for_first()
            try:
                async with self._sending:  # in the order in which they asked
                    await self._send(BODY_SIZE.pack(len(message)), message)
            except ConnectionError:  # what it answered before, and then that it is gone
                while self._read():
                    pass
                if not self.ended:
                    self._blame_first(EOFError())
            return await mine.answer
        finally:
            mine.answer.cancel()  # no caller waits for it any more
            self.asked -= 1
            if self.ended and not self.asked:
                self._socket.close()

    async def _send(self, head: bytes, message: bytes) -> None:
        """Both, without making one of them: mostly the socket takes all at once."""
        try:
            sent = self._socket.sendmsg([head, message])
        except BlockingIOError:
            sent = 0
        if rest := len(head) + len(message) - sent:
            left = memoryview(message)[-rest:] if rest <= len(message) else (head + message)[sent:]
            await asyncio.get_running_loop().sock_sendall(self._socket, left)

    def _read(self) -> bool:
        """Takes what there is, and gives the answers that are whole to who waits for them; whether there was something."""
        try:
            some = self._socket.recv(_PIECE)
        except BlockingIOError:
            return False
        except ConnectionError:
            some = b""
        if not some:
            self._blame_first(EOFError())
            return False
        self._received += some
        while len(self._received) >= ANSWER_HEAD.size:
            facts, jpeg = ANSWER_HEAD.unpack_from(self._received)
            end = ANSWER_HEAD.size + facts + jpeg
            if facts > _MOST_FACTS or jpeg > _MOST_JPEG or not self._questions:  # a codec that was taken over
                self._blame_first(UnreadableError())
                return False
            if len(self._received) < end:
                break
            answer = bytes(self._received[ANSWER_HEAD.size : end])
            del self._received[:end]
            try:
                made = parsed_answer(answer[:facts], answer[facts:])
            except UnreadableError as error:
                self._blame_first(error)
                return False
            first = self._questions.popleft()
            if not first.answer.done():
                first.answer.set_result(made)
            self._wait_for_first()
        return True

    def _wait_for_first(self) -> None:
        """The time of the first question begins; where there is none there is nothing to be read."""
        if self._timer is not None:
            self._timer.cancel()
        assert self._loop is not None
        if self._questions:
            self._timer = self._loop.call_later(self._questions[0].seconds, self._blame_first, TimeoutError())
        else:
            self._timer = None
            self._loop.remove_reader(self._socket)

    def _blame_first(self, error: Exception) -> None:
        if self._questions:
            self._questions.popleft().fail(error)
        self.end()

    def end(self) -> int:
        """Ends it, if it has not ended, and returns the status that it ended with, as `Popen.returncode`."""
        self.ended = True
        self._process.kill()
        status = self._process.wait()
        while self._questions:
            self._questions.popleft().fail(_NotToBlameError())
        if self._timer is not None:
            self._wait_for_first()
        if self.asked:  # who is still sending sees that it is gone, and the last of them closes the socket
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        else:
            self._socket.close()
        return status


def _end(processes: list[_Process]) -> None:
    while processes:
        processes.pop().end()


async def _started(program: str, orders: Orders) -> _Process:
    """A decoder that is ready for bodies."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDER_WAY)
    with theirs, tempfile.TemporaryFile() as words:
        # It finds what this process finds.
        path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, **_ENVIRONMENT}
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
            process.asked += 1
            await process.ask(orders.packed(), START_TIMEOUT)
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
