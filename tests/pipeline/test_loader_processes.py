"""Tests the loader in real processes: ranks that communicate, and one that is killed and started again."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tagmill.shards.view import ONE
from tests.pipeline.corpora import Made, make_corpus, picture
from tests.warm.python import warm_python

WALKER = Path(__file__).with_name("walker.py")
LIMIT_SECONDS = 120
NEEDS_DALI = pytest.mark.skipif(not importlib.util.find_spec("nvidia"), reason="needs nvidia-dali")
SLACK = 25 << 20  # modules that are imported late, threads


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    repeats = np.random.default_rng(2).integers(0, 2 * ONE, 90)
    return make_corpus(tmp_path_factory.mktemp("processes"), [50, 40], repeats=repeats)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Enough images of a usual size that some are opened while others are decoded; 15 that occur again and again."""
    size = (300, 256)
    few = [picture(number, size[0] + number % 3, size[1] + number % 5) for number in range(15)]
    made = {number: few[number % 15] for number in range(640)}
    return make_corpus(tmp_path_factory.mktemp("photos"), [320, 320], picture_size=size, replace=made).url


def start(made: Made, file: Path, rendezvous: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    command = [warm_python(), str(WALKER), made.url, str(file), *([str(rendezvous)] if rendezvous else [])]
    clean = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.Popen(command, env={**clean, **environment}, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, complaint = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, complaint


def seen(file: Path) -> list[list[object]]:
    found: list[list[object]] = json.loads(file.read_text())["seen"]
    return found


def test_two_ranks_give_an_exact_epoch_together(made: Made, tmp_path: Path) -> None:
    ranks = [
        start(
            made, tmp_path / f"{rank}.json", tmp_path / "meet", RANK=str(rank), WORLD_SIZE="2", GLOO_SOCKET_IFNAME="lo"
        )
        for rank in range(2)
    ]
    for process in ranks:
        finish(process)
    first, second = (seen(tmp_path / f"{rank}.json") for rank in range(2))
    assert [positions for positions, _ in first] == [positions for positions, _ in second]
    assert [images for _, images in first] != [images for _, images in second]
    epochs, totals = [], [int(made.copies(epoch).sum()) for epoch in (0, 1)]
    for positions, _ in first:
        epochs += positions  # type: ignore[operator]
    assert sorted(epochs[: totals[0]]) == list(range(totals[0]))
    assert sorted(epochs[totals[0] :]) == list(range(totals[1]))


def test_killed_and_restarted_it_gives_the_same(made: Made, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed.json", tmp_path / "killed.json"
    beside, process = start(made, undisturbed), start(made, killed)
    limit = time.monotonic() + LIMIT_SECONDS
    while not (killed.exists() and len(seen(killed)) >= 3) and time.monotonic() < limit:
        assert process.poll() is None, "it was to be killed before its end"
        time.sleep(0.005)
    process.kill()
    process.communicate()
    finish(beside)
    assert 3 <= len(seen(killed)) < len(seen(undisturbed))
    finish(start(made, killed))
    assert seen(killed) == seen(undisturbed)


def test_a_process_that_drops_its_loader_ends(made: Made) -> None:
    code = (
        "import sys\nfrom tagmill.pipeline import Loader, LoaderConfig\n"
        "config = LoaderConfig(batch_size=10, streams=4, chunk=4, size=16, backend=sys.argv[2])\n"
        "iterator = iter(Loader(sys.argv[1], config))\nprint(next(iterator).count)\n"
    )
    backends = ["cpu", "dali"] if importlib.util.find_spec("nvidia") else ["cpu"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, made.url, backend], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for backend in backends
    ]
    for process in processes:
        answer, complaint = process.communicate(timeout=LIMIT_SECONDS)
        assert (process.returncode, answer.strip()) == (0, "10"), complaint


MEASURED = """
import sys
from pathlib import Path
from tagmill.ingest.workers.process_setup import leave_out_pandas
from tagmill.pipeline import Loader, LoaderConfig

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

leave_out_pandas()  # Arrow would import it where it is installed: tens of megabytes that are not the loader's
before = resident()
config = LoaderConfig(view=None, batch_size=128, streams=2, threads=2, output=sys.argv[2], backend=sys.argv[3], readers=2)
with Loader(sys.argv[1], config) as loader:
    peak = 0
    for number, batch in enumerate(loader):
        peak = max(peak, resident())
        if number == 24:
            break
    print(peak - before, loader.memory())
"""


PAIRS = [("pillow", "float32"), ("cpu", "uint8"), ("dali", "float32")]  # with TAGMILL_WHOLE=1 all others too
OTHERS = [("pillow", "uint8"), ("cpu", "float32"), ("dali", "uint8")] if os.environ.get("TAGMILL_WHOLE") else []


@pytest.mark.parametrize(
    ("backend", "output"),
    [pytest.param(*pair, marks=NEEDS_DALI if "dali" in pair else ()) for pair in (*PAIRS, *OTHERS)],
)
def test_a_process_takes_no_more_memory_than_the_loader_reports(photos: str, backend: str, output: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, photos, output, backend], capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    taken, said = map(int, done.stdout.split())
    assert taken < said + SLACK < 4 * taken, "the figure is a bound, and no wild guess"
