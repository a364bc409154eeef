"""Measures the options that depend on measurements, one after the other, with the graph from memory."""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tagmill.bench.workers import end_group, environment, last_line

DEFAULT = {"batch": 256, "threads": 16, "size": 224, "window": "region", "hw_decoder_load": 0.65, "depth": 2}
# On a GPU; options of its decoder do not exist on a CPU.
CHOICES: dict[str, tuple[Any, ...]] = {
    "batch": (64, 128, 512, 1024),
    "threads": (2, 4, 8, 14),
    "depth": (1, 3),
    "size": (384,),
    "share_bytes": (False,),
    "fancy_upsampling": (False,),
}
LOADS = (0.0, 0.35, 0.65, 0.9, 1.0)


def settings(device: str, threads: int, quick: bool) -> list[dict[str, Any]]:
    """Returns the default first; then window by hardware share, and each other option by itself."""
    default = DEFAULT | {"threads": threads} | ({"batch": 16} if quick else {})
    found = [default]
    for window in ("region", "full", "cut"):
        found += [
            default | {"window": window, "hw_decoder_load": load} for load in (LOADS if device != "cpu" else (0.65,))
        ]
    if quick:
        return [default, default | {"window": "full"}, default | {"window": "cut"}, default | {"depth": 1}]
    for name, values in CHOICES.items():
        found += [default | {name: value} for value in values if name != "threads" or value < threads]
    return [each for number, each in enumerate(found) if each not in found[:number]]


def title(setting: dict[str, Any], default: dict[str, Any]) -> str:
    """Returns the difference from the default, for example 'window=full, hw_decoder_load=1.0'."""
    changed = [f"{name}={value}" for name, value in setting.items() if default.get(name) != value]
    return ", ".join(changed) or "default"


FRUITLESS = 2  # processes in a row that end without a figure, after which no other starts


def measured(
    corpus: str, device: str, chosen: list[dict[str, Any]], seconds: float, warm: int, patience: Callable[[], float]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yields (setting, figures or a reason). A setting that ends its process costs only itself: the next process
    continues after it. `patience` returns the remaining seconds; settings that do not start by then are not yielded."""
    left, fruitless = list(chosen), 0
    command = [sys.executable, "-P", "-m", "tagmill.bench.gpu.limit", corpus, f"--device={device}"]
    command += [f"--seconds={seconds}", f"--warm={warm}"]
    while left and patience() > 0:
        before = len(left)
        with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as errors:
            asked.write(json.dumps(left))
            asked.seek(0)
            files: dict[str, Any] = {"stdin": asked, "stdout": subprocess.PIPE, "stderr": errors}
            process = subprocess.Popen(command, **files, text=True, env=environment(), start_new_session=True)
            timer = threading.Timer(patience(), end_group, [process])
            timer.start()
            try:
                for line in process.stdout or ():
                    if line.startswith("{") and line.endswith("}\n"):
                        yield left.pop(0), json.loads(line)
            finally:
                timer.cancel()
                end_group(process)
            errors.seek(0)
            reason = {"reason": f"the process ended: {last_line(errors.read())}"}
        fruitless = fruitless + 1 if len(left) == before else 0
        if left and patience() > 0:
            lost, left = (left, []) if fruitless == FRUITLESS else (left[:1], left[1:])
            yield from ((setting, reason) for setting in lost)
