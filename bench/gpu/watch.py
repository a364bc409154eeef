"""Samples the utilisation of the GPU and of its JPEG engine in a thread while something runs."""

import statistics
import subprocess
import threading
from types import TracebackType
from typing import Self

EVERY = 0.2  # seconds; the driver's own figure is a mean over up to a second
QUERY = "utilization.gpu,utilization.jpeg,memory.used"


class Watch:
    """`with Watch('cuda:0') as watch: ...` and then `watch.figures()`; empty on a CPU."""

    def __init__(self, device: str) -> None:
        self._index = None if device == "cpu" else int(device.partition(":")[2] or 0)
        self._samples: list[tuple[float | None, ...]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        if self._index is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._index is not None:
            self._thread.join()

    def figures(self) -> dict[str, float]:
        """Returns means in percent, and the peak memory in bytes; without values that the driver does not report."""
        found = {}
        for number, name in enumerate(("gpu_utilisation_percent", "jpeg_engine_percent")):
            values = [sample[number] for sample in self._samples]
            told = [value for value in values if value is not None]
            if told:
                found[name] = statistics.fmean(told)
        held = [sample[2] for sample in self._samples if sample[2] is not None]
        return found | ({"gpu_memory_bytes": max(held) * (1 << 20)} if held else {})

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            if sample := parse(ask(self._index or 0)):
                self._samples.append(sample)


def ask(index: int) -> str:
    """Returns nvidia-smi's line; empty if it does not answer."""
    command = ["nvidia-smi", f"--id={index}", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def parse(line: str) -> tuple[float | None, ...] | None:
    """Parses '97, 43, 2210' to numbers, None for '[N/A]'; returns None for any other line."""
    cells = [cell.strip() for cell in line.strip().split(",")]
    if len(cells) != 3:
        return None
    return tuple(float(cell) if cell.replace(".", "", 1).isdecimal() else None for cell in cells)
