"""Runs loaders as processes: installs, starts, watches and ends each, and parses its output."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tagmill.bench import corpora, measure, processes

PEERS = measure.ROOT / "bench" / "peers"
US, LIMITS = "tagmill", ("decode only", "decode only (DALI)")
PATIENCE = 300.0  # seconds for one run of one case
EVERY = 0.5  # seconds between two measurements of the memory


class UnavailableError(Exception):
    """A peer that cannot be measured here, and the reason."""


@dataclass(frozen=True)
class Peer:
    """A loader: its file under bench/peers/, its input, and the packages that its users install."""

    name: str
    file: str
    data: str  # folder of the prepared images; made by the file itself if `corpora` does not make it
    environment: str = ""  # under build/bench/; empty for tagmill
    packages: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def makes(self) -> bool:
        return self.data not in ("images", "corpus")

    def command(self, data: str) -> list[str]:
        """Returns the worker's command line, for data at a path or a URL, up to the common options."""
        return [str(self.python()), "-P", str(PEERS / self.file), data, *self.flags]

    def python(self) -> Path:
        """Returns the peer's Python. Raises UnavailableError if it cannot be installed."""
        if not self.environment:
            return Path(sys.executable)
        try:
            return measure.peer(self.environment, *self.packages, over_ours=True)
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"not installed: {last_line(error.stderr or str(error))}") from error


def torch_peer(name: str, file: str, data: str, environment: str, *packages: str) -> list[Peer]:
    """Returns a DataLoader peer twice: with torchvision's decoder, which is faster, and with Pillow."""
    given = (file, data, environment, (*packages, "pillow"))
    return [Peer(name, *given), Peer(f"{name} (Pillow)", *given, flags=("--decoder", "pillow"))]


def peers(backend: str) -> list[Peer]:
    return [
        Peer(US, "tagmill_loader.py", "corpus", flags=("--backend", backend)),
        Peer("DALI reader", "dali_reader.py", "corpus"),
        *torch_peer("ImageFolder", "torchvision_folder.py", "images", "torchvision"),
        Peer(
            "ImageFolder (torchcodec)",
            "torchvision_folder.py",
            "images",
            "torchcodec",
            ("torchcodec", "pillow"),
            ("--decoder", "torchcodec"),
        ),
        *torch_peer("webdataset", "webdataset_tars.py", "corpus", "webdataset", "webdataset"),
        *torch_peer("Streaming", "streaming_mds.py", "mds", "streaming", "mosaicml-streaming"),
        *torch_peer("LitData", "litdata_chunks.py", "litdata", "litdata", "litdata"),
        Peer("SPDL", "spdl_pipeline.py", "images", "spdl", ("spdl", "pillow")),
        Peer(LIMITS[0], "libjpeg_windows.py", "corpus"),
        Peer(LIMITS[1], "dali_slice.py", "corpus"),
    ]


@dataclass
class Case:
    """A peer with an output, and its measurements."""

    peer: Peer
    output: str
    place: str = ""
    runs: list[dict[str, Any]] = field(default_factory=list)
    reason: str | None = None

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.output, self.peer.name, self.place)))

    def median(self, figure: str) -> float:
        return float(statistics.median(run[figure] for run in self.runs))


def environment() -> dict[str, str]:
    """The environment of a worker, which finds the package `tagmill` in the checkout even if it is not installed."""
    paths = [str(measure.ROOT / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(paths)}


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def run_worker(command: list[str], environment: dict[str, str], every: float = EVERY) -> dict[str, Any]:
    """Returns the worker's figures, and the peak memory of its processes, sampled at intervals.

    Raises UnavailableError with its last output.
    """
    # Files and no pipes: pipes stay open as long as the last of a worker's own processes lives.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=environment, start_new_session=True)
        peak, end = 0, time.monotonic() + PATIENCE
        try:
            while process.poll() is None and time.monotonic() < end:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(every)
                peak = max(peak, processes.pss_bytes(process.pid))
            status = process.poll()
        finally:
            end_group(process)
        said = [_from_start(file) for file in (out, errors)]
    found = [line for line in said[0].splitlines() if line.startswith("{")]
    if status is None:
        raise UnavailableError(f"no end after {PATIENCE:.0f} s")
    if status or not found:
        raise UnavailableError(last_line(said[1] or said[0]))
    return {**json.loads(found[-1]), "peak_memory_bytes": peak}


def _from_start(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kills all processes of a worker, so that they do not slow the next one."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def prepare(peer: Peer, folder: Path) -> str:
    """Returns the path of its data, below the folder of `corpora.prepare`; makes its format if that is missing."""
    peer.python()

    def make(place: Path) -> None:
        flags = ["--images", str(folder / "images"), "--folder", str(place)]
        command = [str(peer.python()), "-P", str(PEERS / peer.file), "make", *flags]
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
        if done.returncode:
            raise UnavailableError(f"its format was not made: {last_line(done.stderr)}")

    if peer.makes:
        corpora.once(folder / peer.data, make)
    return str(folder / peer.data)


def measured(case: Case, data: str, flags: list[str], extra: Mapping[str, str] = {}) -> None:
    """Runs a case once more, with an environment that has `extra`; a failed one is not run again."""
    if case.reason is not None:
        return
    try:
        command = [*case.peer.command(data), "--output", case.output, *flags]
        case.runs.append(run_worker(command, {**environment(), **extra}))
        print(f"  {case.name}: {case.runs[-1]['images_per_second']:.0f} images/s", file=sys.stderr)
    except UnavailableError as error:
        case.reason = str(error)
        print(f"  {case.name}: {case.reason}", file=sys.stderr)
