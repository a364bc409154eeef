"""The decoder program: answers survive the socket, it gives what `prepare` gives, and it is never left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.decode_worker import (
    _PICTURE,
    ANSWER_HEAD,
    BODY_SIZE,
    READY,
    Orders,
    Picture,
    UnreadableError,
    packed,
    parsed_answer,
    picture,
    serve,
)
from tagmill.ingest.images.fingerprint import Fingerprint, fingerprint
from tagmill.ingest.images.prepare import Prepared, Rejected, prepare
from tagmill.ingest.reasons import Reason
from tests.ingest.smallweb import picture as body_of

POLICY = ImagePolicy(image_size=32, quality=90, min_side=8, max_pixels=1_000_000)
words = st.integers(-(1 << 63), (1 << 63) - 1)
pictures = st.builds(
    Picture,
    st.binary(min_size=1, max_size=300),
    *[st.integers(1, 65_500)] * 4,
    st.builds(
        Fingerprint,
        st.binary(min_size=32, max_size=32).map(bytes.hex),
        st.tuples(words, words, words, words),
        st.integers(0, 100),
    ),
)
rejects = st.builds(Rejected, st.sampled_from(Reason), st.none() | st.text(max_size=40))


@given(pictures | rejects)
def test_answers_come_over_the_socket_as_they_were(made: Picture | Rejected) -> None:
    data = packed(made)
    facts, jpeg = ANSWER_HEAD.unpack_from(data)
    assert ANSWER_HEAD.size + facts + jpeg == len(data)
    again = parsed_answer(data[ANSWER_HEAD.size : ANSWER_HEAD.size + facts], data[ANSWER_HEAD.size + facts :])
    assert again == made and type(again) is type(made)


@given(st.binary(max_size=100), st.binary(max_size=3))
def test_bytes_that_are_no_answer_are_called_so(facts: bytes, jpeg: bytes) -> None:
    """But for that to orders, and for the number of bytes that a picture's facts have: any of them are some facts."""
    assert parsed_answer(READY, jpeg) is None
    for some in (
        b"x" if facts == READY else facts,
        b"{}",
        b"[]",
        b'{"reason": "none such", "detail": null}',
        b'{"reason": ["timeout"], "detail": 1}',
    ):
        if not jpeg or len(some) != _PICTURE.size:
            with pytest.raises(UnreadableError):
                parsed_answer(some, jpeg)


@given(
    st.builds(
        ImagePolicy,
        *[st.integers(1, 1 << 40)] * 4,
        st.none() | st.floats(1, 1e6),
        st.sampled_from(["no", "border"]),
        st.booleans(),
        st.sampled_from(["auto", "always", "never"]),
    ),
    st.integers(0, 1 << 50),
)
def test_orders_come_over_the_socket_as_they_were(policy: ImagePolicy, memory: int) -> None:
    orders = Orders(policy, memory, 7)
    assert Orders.parse(orders.packed()) == orders


def test_a_picture_is_what_prepare_and_the_fingerprints_give() -> None:
    for number in range(12):
        body = body_of(number)
        made, here = picture(body, POLICY), prepare(body, POLICY)
        assert isinstance(made, Picture) and isinstance(here, Prepared)
        assert made.jpeg == here.jpeg and made.prints == fingerprint(body, here.thumbnail)
        assert (made.width, made.height) == (here.width, here.height)
        assert (
            (made.original_width, made.original_height)
            == (here.original_width, here.original_height)
            == (64 + number, 48)
        )
    assert picture(b"<html>", POLICY) == Rejected(Reason.NOT_AN_IMAGE, "HTML")


def test_an_unexpected_error_is_a_reject_that_names_it() -> None:
    def fails(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
        raise {b"memory": MemoryError, b"deep": RecursionError}[body](f"at {id(body):x}")

    assert picture(b"memory", POLICY, fails) == Rejected(Reason.DECODER_FAILED, "MemoryError")
    assert picture(b"deep", POLICY, fails) == Rejected(Reason.DECODER_CRASHED, "RecursionError")


def run(connection: socket.socket, parent: int | None = None, memory: int = 1 << 30) -> subprocess.Popen[bytes]:
    """The program with its orders given; the caller's end of the socket is the other one."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "tagmill.ingest.images.decode_worker"]
    process = subprocess.Popen(command, stdin=connection, env=environment)
    connection.close()
    return process


def send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(BODY_SIZE.pack(len(message)) + message)


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    with connection.makefile("rb") as stream:
        facts, jpeg = ANSWER_HEAD.unpack(stream.read(ANSWER_HEAD.size))
        return stream.read(facts), stream.read(jpeg)


@pytest.mark.parametrize("cut", [0, 3, 40])
def test_it_ends_when_the_socket_is_closed_wherever_in_a_message(cut: int) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        process = run(theirs)
        send(ours, Orders(POLICY, 1 << 30, os.getpid()).packed())
        assert b"ready" in receive(ours)[0]
        send(ours, body_of(1))
        assert parsed_answer(*receive(ours)) == picture(body_of(1), POLICY)
        ours.sendall((BODY_SIZE.pack(10_000) + bytes(100))[:cut])
    assert process.wait(60) == 0


def test_it_does_not_begin_without_its_parent() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        process = run(theirs)
        send(ours, Orders(POLICY, 1 << 30, os.getpid() + 1).packed())  # as if that had died, and we had taken its child
        assert process.wait(60) == 1
        assert ours.recv(1) == b""


PARENT = """
import os, socket, subprocess, sys, time
from tagmill.ingest.images.decode_worker import Orders, BODY_SIZE
from tests.ingest.images.test_decode_worker import POLICY, receive, run, send
ours, theirs = socket.socketpair()
process = run(theirs)
send(ours, Orders(POLICY, 1 << 40, os.getpid()).packed())
receive(ours)
ours.sendall(BODY_SIZE.pack(1 << 20))  # a body that does not come: the decoder waits
os.set_inheritable(ours.fileno(), True)
holder = subprocess.Popen(["sleep", "3600"], close_fds=False)  # keeps the socket open when we are gone
print(process.pid, holder.pid, flush=True)
time.sleep(3600)
"""


def test_it_is_killed_with_its_parent_even_where_the_socket_stays_open() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, "-P", "-c", PARENT], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    decoder, holder = map(int, parent.stdout.readline().split())
    try:
        assert alive(decoder)
        parent.kill()
        parent.wait()
        while alive(decoder):
            time.sleep(0.01)
        assert alive(holder)
    finally:
        os.kill(holder, signal.SIGKILL)
        parent.stdout.close()


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie, whom an init of a container may leave lying, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_who_hangs_up_before_the_orders_is_served_nothing() -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs,))
    thread.start()
    ours.close()
    thread.join(60)
    assert not thread.is_alive()
    theirs.close()


def test_it_loads_only_what_it_needs() -> None:
    """Every worker has some: neither their start nor their memory may be that of a worker."""
    code = (
        "import sys, tagmill.ingest.images.decode_worker\n"
        "heavy = {'pyarrow', 'fsspec', 'aiohttp', 'duckdb', 'torch', 'pandas', 'webdataset', 'tagmill.shards'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
