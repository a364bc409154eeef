"""Tests that a run under torchrun saves and ends at a signal, and is not started again."""

import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from tagmill.shards import Store
from tagmill.training.checkpoints.layout import steps_there
from tests.pipeline.corpora import Made
from tests.training.runs import VIT, command, lines, torchrun_environment


def test_all_processes_save_and_end_after_the_same_step(whole_corpus: Made, tmp_path: Path) -> None:
    """The signal comes as from Slurm: to torchrun, which passes it on, and to each of the processes that torchrun began."""
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=100_000, checkpoint_every=100_000)
    words = command(replace(config, output=str(tmp_path / "model")), 2, ("--max-restarts", "3"))
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=errors, text=True, env=torchrun_environment()
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 3/"):
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                for each in (*children, process.pid):
                    os.kill(int(each), signal.SIGTERM)
                break
        said = process.stdout.read()
    told = (tmp_path / "errors").read_text()
    assert process.returncode == 1 and len(children) == 2, told
    assert said.count("stopped    at step") == 1 and "resumed" not in said, said
    assert told.count("stopping   after this step") == 1
    assert told.count("Traceback") == 1 and re.search(r"\S*SignalException: Process \d+ got signal: 15\s*$", told), told
    assert steps_there(Store(f"{tmp_path}/model")) == [lines(tmp_path / "model")[-1]["step"]]
