"""Tests that a run goes on by itself when one of its processes is killed, under torchrun with restarts.

TAGMILL_KILLS=10 makes ten runs with a kill each, at other processes, phases and moments.
"""

import os
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.training.config.train import TrainConfig
from tests.training.runs import command
from tests.training.whole.worlds import evaluation, farthest, losses, same_lines

KILLS = int(os.environ.get("TAGMILL_KILLS", "2"))
SCRIPT = str(Path(__file__).with_name("killed_rank.py"))


def moment(number: int) -> str:
    """Returns when a process is killed: even numbers in a step, odd ones while a checkpoint is saved."""
    # Rank 1 puts one object a checkpoint, of which there are eight.
    draw, phase = random.Random(number), ("step", "save")[number % 2]
    return f"{draw.randrange(2)}-{phase}-{draw.randrange(2, 23) if phase == 'step' else draw.randrange(2, 9)}"


@pytest.mark.slow
@pytest.mark.parametrize("when", [moment(number) for number in range(KILLS)])
def test_a_run_goes_on_when_one_of_its_processes_is_killed(undisturbed: TrainConfig, tmp_path: Path, when: str) -> None:
    config = replace(undisturbed, checkpoint_every=3, output=str(tmp_path / "model"))
    words = command(config, 2, ("--max-restarts", "3"))
    place = words.index("tagmill.train")
    words[place - 1 : place + 1] = [SCRIPT, when]
    done = subprocess.run(
        words, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0 and "exitcode: -9" in done.stderr.replace("exitcode  : -9", "exitcode: -9"), done.stderr
    # Before, the first checkpoint may not be whole yet, and the run begins again.
    assert "resumed    from step" in done.stdout or int(when.split("-")[2]) < 7
    assert farthest(undisturbed, config) < 1e-5
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-5)
    assert [line["step"] for line in same_lines(config)] == list(range(1, 25))
    assert evaluation(config) == evaluation(undisturbed)
