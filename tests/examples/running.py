"""Runs an example as its user would, and reads the losses that it prints."""

import io
import os
import runpy
import socket
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

from tests.warm.python import warm_python

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
LIMIT_SECONDS = 180


def run_here(name: str, corpus: str, output: Path, steps: int) -> dict[int, float]:
    """Returns the loss of each step of one process: this one, because the imports of the examples take seconds."""
    with redirect_stdout(io.StringIO()) as told:
        runpy.run_path(str(EXAMPLES / name))["main"](corpus, output, steps)
    return losses(told.getvalue())


def run_beside(
    name: str, corpus: str, output: Path, steps: int, *more: str, ranks: int = 2, clean: bool = False
) -> dict[int, float]:
    """Returns each step's loss as the first of several processes prints it; `clean` removes torchrun's variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [warm_python(), str(EXAMPLES / name), corpus, str(output), str(steps), *more]
    environment = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    world = {} if clean else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks)}
    places = [{} if clean else {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env={**environment, **world, **place}, **pipes) for place in places]  # type: ignore[call-overload]
    answers = [process.communicate(timeout=LIMIT_SECONDS) for process in processes]
    for process, (_, complaint) in zip(processes, answers, strict=True):
        assert process.returncode == 0, complaint
    return losses(answers[0][0])


def losses(told: str) -> dict[int, float]:
    """Parses step and loss from the lines that contain both."""
    words = [line.split() for line in told.splitlines() if line[:1].isdigit()]
    return {int(step): float(loss) for step, loss in words}
