"""A decoder program that does what some bodies tell it to: die by a real signal, hang, end, fail, or take memory."""

import ctypes
import os
import signal
import sys
import time

import numpy as np

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.decode_worker import ANSWER_HEAD, main
from tagmill.ingest.images.prepare import Prepared, Rejected, prepare


def obedient(body: bytes, policy: ImagePolicy) -> Prepared | Rejected:
    order, _, argument = body.partition(b" ")
    if order == b"read":  # address 0: what a broken codec does
        ctypes.string_at(0)
    if order == b"kill":
        os.kill(os.getpid(), signal.Signals[argument.decode()])
    if order == b"hang":
        time.sleep(3600)
    if order == b"end":
        os._exit(int(argument))
    if order == b"fail":
        raise RecursionError("not foreseen")
    if order == b"babble":  # before its answer, which was then not asked for
        os.write(sys.stdin.fileno(), ANSWER_HEAD.pack(5, int(argument)) + b"{bad}" + bytes(int(argument)))
    if order == b"take":
        np.ones(int(argument), np.uint8)
    if order == b"shout":
        os.write(sys.stderr.fileno(), b"libtiff: what a picture!\n" * int(argument))
        print("and more of it\n" * int(argument), flush=True)
    return prepare(body, policy)


if __name__ == "__main__":
    main(obedient)
