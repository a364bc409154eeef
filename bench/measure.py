"""Common parts of comparisons: cases run in turn in one call, medians and ratios are printed, JSON is written."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


@dataclass
class Seconds:
    """How long each part of a run took."""

    parts: dict[str, list[float]] = field(default_factory=dict)

    def of(self, part: str, work: Callable[[], T]) -> T:
        """Returns the result of some work, and notes its seconds."""
        start = time.perf_counter()
        result = work()
        self.parts.setdefault(part, []).append(round(time.perf_counter() - start, 1))
        return result


def arguments(description: str) -> argparse.ArgumentParser:
    """Returns the parser of the flags that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--images", type=Path, default=ROOT / "out/demo/web/pictures", help="a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few images, two rounds: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    return parser


def pictures(folder: Path, most: int | None = None) -> list[Path]:
    """Returns the JPEG files of a folder in order of name."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))[:most]
    if not found:
        sys.exit(f"no JPEG files in {folder}: give --images DIR, or run make demo first, whose images are the default")
    return found


def peer(name: str, *packages: str, over_ours: bool = False) -> Path:
    """Returns the Python of a peer's own environment under build/bench/, made on demand.

    `over_ours`: packages that are not installed there are taken from our environment, to save another copy of torch.
    The peer's packages come first, and Pillow over pillow-simd only if it is among `packages`. Raises
    CalledProcessError, with pip's message, if the peer cannot be installed.
    """
    folder = ROOT / "build" / "bench" / name
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        print(f"installing {' '.join(packages)} under {folder}", file=sys.stderr)
        _call([sys.executable, "-m", "venv", "--clear", str(folder)])
        if over_ours:
            ours = sysconfig.get_path("purelib")
            _site_packages(folder).joinpath("ours.pth").write_text(f"{ours}\n")
        _call([str(python), "-m", "pip", "install", "--quiet", *packages])
        (folder / ".ready").touch()
    return python


def _call(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _site_packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


def alternate(cases: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Runs every case once a round, in turn, so that noise of the machine affects all of them."""
    runs: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name, case in cases.items():
            runs[name].append(case())
            print(f"round {number + 1}/{rounds}  {name}: {runs[name][-1]:.1f}", file=sys.stderr)
    return runs


def machine() -> dict[str, str | int]:
    """Returns the machine of the figures: processor, cores, Python."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "unknown")
    return {"processor": model, "cores": os.cpu_count() or 0, "python": platform.python_version()}


def conclude(
    name: str,
    unit: str,
    runs: dict[str, list[float]],
    us: str,
    out: Path | None,
    further: dict[str, dict[str, object]] | None = None,
) -> None:
    """Prints medians and our ratio to each peer, and writes them as JSON if `out` is given, with cases of other units."""
    medians = {case: statistics.median(values) for case, values in runs.items()}
    ratios = {f"{us}/{case}": medians[us] / median for case, median in medians.items() if case != us}
    for case, median in medians.items():
        ratio = "" if case == us else f"   {us} does {ratios[f'{us}/{case}']:.2f} times this"
        print(f"{case:32} {median:10.1f} {unit}{ratio}")
    if out is not None:
        cases: dict[str, dict[str, object]] = {
            case: {"unit": unit, "median": medians[case], "runs": values} for case, values in runs.items()
        }
        write(name, cases | (further or {}), ratios, out)


def write(name: str, cases: dict[str, dict[str, object]], ratios: dict[str, float], out: Path) -> None:
    """Writes the figures as JSON, with the commit, the machine and the date."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    result = {
        "name": name,
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "machine": machine(),
        "cases": cases,
        "ratios": ratios,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
