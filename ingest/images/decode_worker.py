"""The program that decodes pictures in a process of its own, so that a codec which crashes over one costs that one.

On the socket that is its standard input it gets its orders, then a body at a time, and gives an answer to each: the picture
with its facts, or why there is none. It ends when the socket is closed or its parent dies. `decode_pool.py` is the other end.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.fingerprint import Fingerprint, fingerprint
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.images.rejected import Rejected
from tagmill.ingest.reasons import Reason

BODY_SIZE = struct.Struct("<Q")  # before orders and bodies: their bytes
ANSWER_HEAD = struct.Struct("<II")  # before an answer: bytes of its facts, then of the JPEG that follows them
READY = b"ready"  # facts of the answer to orders
# Facts of a picture: its sizes, sha256, PDQ and its quality; those of a reject are JSON.
_PICTURE = struct.Struct("<4I32s4qB")
_PR_SET_PDEATHSIG = 1  # prctl(2)

Prepare = Callable[[bytes, ImagePolicy], Prepared | Rejected]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is stored, and what tells it apart; sizes in pixels, the original's after it was turned upright."""

    jpeg: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    prints: Fingerprint


@dataclass(frozen=True, slots=True)
class Orders:
    """Settings that a decoder gets once, at its start."""

    policy: ImagePolicy
    memory: int  # bytes that it may take beyond what it begins with
    parent: int  # the process without which it must not live

    def packed(self) -> bytes:
        fields = {name: getattr(self.policy, name) for name in ImagePolicy.__slots__}
        return json.dumps({"policy": fields, "memory": self.memory, "parent": self.parent}).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Orders":
        told = json.loads(data)
        return cls(ImagePolicy(**told["policy"]), told["memory"], told["parent"])


def packed(made: Picture | Rejected) -> bytes:
    """An answer as it goes over the socket."""
    if isinstance(made, Rejected):
        text = json.dumps({"reason": made.reason, "detail": made.detail}).encode()
        return ANSWER_HEAD.pack(len(text), 0) + text
    sizes, prints = (made.width, made.height, made.original_width, made.original_height), made.prints
    facts = _PICTURE.pack(*sizes, bytes.fromhex(prints.sha256), *prints.pdq, prints.pdq_quality)
    return b"".join((ANSWER_HEAD.pack(len(facts), len(made.jpeg)), facts, made.jpeg))


class UnreadableError(Exception):
    """An answer that is none."""


def parsed_answer(facts: bytes, jpeg: bytes) -> Picture | Rejected | None:
    """An answer as it came over the socket, without its head; None for that to orders. Raises UnreadableError."""
    if facts == READY:
        return None
    try:
        if not jpeg:
            told = json.loads(facts)
            return Rejected(Reason(told["reason"]), told["detail"])
        width, height, original_width, original_height, sha256, *pdq, quality = _PICTURE.unpack(facts)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise UnreadableError from error
    first, second, third, fourth = pdq
    prints = Fingerprint(sha256.hex(), (first, second, third, fourth), quality)
    return Picture(jpeg, width, height, original_width, original_height, prints)


def picture(body: bytes, policy: ImagePolicy, prepare: Prepare = prepare) -> Picture | Rejected:
    """What a body gives. What `prepare` did not foresee is a reject too: a list of millions must not end at one picture."""
    try:
        made = prepare(body, policy)
        if isinstance(made, Rejected):
            return made
        prints = fingerprint(body, made.thumbnail)
    except MemoryError as error:
        return Rejected(Reason.DECODER_FAILED, type(error).__name__)
    except Exception as error:  # noqa: BLE001 - see above
        return Rejected(Reason.DECODER_CRASHED, type(error).__name__)
    return Picture(made.jpeg, made.width, made.height, made.original_width, made.original_height, prints)


def serve(connection: socket.socket, prepare: Prepare = prepare) -> None:
    """Answers until the other end is closed."""
    orders = _message(connection)
    if orders is None:
        return
    told = Orders.parse(orders)
    _leave_with(told.parent)
    _limit(told.memory)
    connection.sendall(ANSWER_HEAD.pack(len(READY), 0) + READY)
    # From here on, discard what codecs print about broken images: it would fill a disk or garble a terminal.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    while (body := _message(connection)) is not None:
        connection.sendall(packed(picture(body, told.policy, prepare)))


def _message(connection: socket.socket) -> bytes | None:
    head = connection.recv(BODY_SIZE.size, socket.MSG_WAITALL)
    if len(head) < BODY_SIZE.size:
        return None
    (size,) = BODY_SIZE.unpack(head)
    body = connection.recv(size, socket.MSG_WAITALL)  # in one piece and one copy; no signal that comes here is handled
    return body if len(body) == size else None


def _leave_with(parent: int) -> None:
    """The closed socket ends an idle decoder; this also one that is at work when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        sys.exit(1)


def _limit(memory: int) -> None:
    """A picture that wants more memory is refused it, and a crash leaves no core file of gigabytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    begun = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = min((limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY), default=begun + memory)
    resource.setrlimit(resource.RLIMIT_AS, (min(begun + memory, most), hard))


def main(prepare: Prepare = prepare) -> None:
    """The process, whose standard input is the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started it decides when it ends
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        try:
            serve(connection, prepare)
        except ConnectionError:  # the other end is gone
            return


if __name__ == "__main__":
    main()
