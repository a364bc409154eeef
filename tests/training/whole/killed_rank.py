"""A trainer one of whose processes kills itself, as `kill -9` would: a script for torchrun, used by test_kills.py.

Its first argument says when: RANK-PHASE-NUMBER, at the start of the NUMBER-th step, or of the NUMBER-th put of a checkpoint's
object. After a restart nothing is killed. The other arguments are those of `tagmill train`.
"""

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

import tagmill.train
from tagmill.shards import Store, TagmillError
from tagmill.training import one_step

OF_A_STEP = re.compile(r"checkpoints/\d")  # and not the file by which the processes see whether they share the output


def killing(usual: Callable[..., Any], number: int, counts: Callable[..., bool]) -> Callable[..., Any]:
    """Returns `usual` with a SIGKILL at its `number`-th call for whose arguments `counts` is true."""
    calls: list[int] = []

    def call(*given: Any, **named: Any) -> Any:
        if counts(*given):
            calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*given, **named)

    return call


def main() -> None:
    rank, phase, number = sys.argv[1].split("-")
    if os.environ["RANK"] == rank and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        if phase == "step":
            one_step.backward = killing(one_step.backward, int(number), lambda *_: True)
        else:
            Store.put = killing(Store.put, int(number), lambda _, name, *__: bool(OF_A_STEP.match(name)))  # type: ignore[method-assign]
    try:
        tagmill.train.main(sys.argv[2:])
    except TagmillError as error:
        sys.exit(f"tagmill train: {error}")


if __name__ == "__main__":
    main()
