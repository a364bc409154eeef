"""Tests that a run goes on by itself when one of its processes is killed, under torchrun with restarts.

TAGMILL_KILLS=10 makes ten runs with a kill each, at other processes, phases and moments; there are 20.
"""

import itertools
import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.training.config.train import TrainConfig
from tests.training.runs import command, torchrun_environment
from tests.training.whole.worlds import evaluation, farthest, losses, same_lines
from tests.warm.python import warm_python

KILLS = int(os.environ.get("TAGMILL_KILLS", "2"))
SCRIPT = str(Path(__file__).with_name("killed_rank.py"))


KINDS = ((0, "step"), (1, "save"), (1, "step"), (0, "save"))
NUMBERS = {"step": range(2, 12), "save": range(2, 7)}
"""Steps of 12; puts of a checkpoint's object. Of the six checkpoints, process 1 puts one object each, and process 0 four."""
FIRST = {(0, "step"): 5, (1, "step"): 5, (0, "save"): 5, (1, "save"): 2}
"""The first moment of each kind at which a checkpoint is whole: every save waits for the one before it."""


def moments(count: int) -> list[tuple[int, str, int]]:
    """Returns when a process is killed, and which: `count` different moments, of all kinds in turn."""
    draw = random.Random(7)
    drawn = {kind: draw.sample(NUMBERS[kind[1]], len(NUMBERS[kind[1]])) for kind in KINDS}
    kinds = list(itertools.islice(itertools.cycle(KINDS), count))
    return [(*kind, drawn[kind][kinds[:place].count(kind)]) for place, kind in enumerate(kinds)]


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "phase", "number"), moments(KILLS))
def test_a_run_goes_on_when_one_of_its_processes_is_killed(
    undisturbed: TrainConfig, tmp_path: Path, rank: int, phase: str, number: int
) -> None:
    config = replace(undisturbed, checkpoint_every=2, output=str(tmp_path / "model"))
    words = command(config, 2, ("--max-restarts", "3"))
    place = words.index("tagmill.train")
    words[place - 1 : place + 1] = [SCRIPT, f"{rank}-{phase}-{number}"]
    words[0] = warm_python()
    done = subprocess.run(words, env=torchrun_environment(), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and "exitcode: -9" in done.stderr.replace("exitcode  : -9", "exitcode: -9"), done.stderr
    assert "resumed    from step" in done.stdout or number < FIRST[rank, phase]
    assert farthest(undisturbed, config) < 1e-5
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-5)
    assert [line["step"] for line in same_lines(config)] == list(range(1, 13))
    assert evaluation(config) == evaluation(undisturbed)
