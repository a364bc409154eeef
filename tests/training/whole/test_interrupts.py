"""Tests that a signal ends a run in lines, not in a traceback, wherever the run is: before its steps, within one, in an
evaluation, and when it is already stopping."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tagmill.train
from tagmill.shards import Store
from tagmill.training import one_step
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.metrics import held_out
from tagmill.training.stopping.at_once import LINE
from tests.pipeline.corpora import Made
from tests.training.runs import VIT, command, lines
from tests.training.whole.worlds import WHOLE
from tests.warm.python import called

STOPPING = "stopping   after this step, with a checkpoint; a second signal ends the run at once\n"
MODULES = {"train": tagmill.train, "one_step": one_step, "held_out": held_out}


def signalled(words: list[str], module: str, name: str, call: int, signals: list[int], said: Path) -> None:
    """Runs the trainer, with signals to its own process when a function of a module is called for the `call`-th time."""
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    usual: Callable[..., Any] = getattr(MODULES[module], name)
    calls: list[int] = []

    def calling(*given: Any, **named: Any) -> Any:
        calls.append(1)
        for number in signals if len(calls) == call else ():
            os.kill(os.getpid(), number)
        return usual(*given, **named)

    setattr(MODULES[module], name, calling)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w") for stream in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tagmill.train.main(words)


CASES: dict[str, tuple[str, str, int, list[int], int | None]] = {
    # Where it is, signals, and the step of the checkpoint.
    "before the steps": ("train", "plan_of", 1, [signal.SIGTERM], None),
    "in the first step": ("one_step", "backward", 1, [signal.SIGINT], 1),
    "in the third step": ("one_step", "backward", 3, [signal.SIGTERM], 3),
    "in an evaluation": ("held_out", "evaluate", 1, [signal.SIGTERM], 4),
    "twice": ("one_step", "backward", 3, [signal.SIGTERM, signal.SIGTERM], None),
    "SIGTERM after Ctrl-C": ("one_step", "backward", 3, [signal.SIGINT, signal.SIGTERM], None),
}


@pytest.mark.parametrize("case", CASES if WHOLE else list(CASES)[2:5])
def test_a_signal_ends_a_run_in_lines(whole_corpus: Made, tmp_path: Path, case: str) -> None:
    module, name, call, signals, step = CASES[case]
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=8, checkpoint_every=100, evaluate_every=64)
    config = replace(config, output=str(tmp_path / "model"))
    words = command(config)[3:]
    process = called(tmp_path / "call", signalled, words, module, name, call, signals, tmp_path / "said")
    status = process.wait(200)
    said = (tmp_path / "said").read_text()
    assert status == 128 + signals[-1], said
    assert "Traceback" not in said
    if step is None:
        assert said.endswith(LINE) and not steps_there(Store(config.output)), said
        assert said.count("stopping") == len(signals) - 1
    else:
        assert STOPPING in said and f"stopped    at step {step:,} with a checkpoint" in said.splitlines()[-1]
        assert steps_there(Store(config.output)) == [step] and lines(config.output)[-1]["step"] == step
