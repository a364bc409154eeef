"""Measures the statements of `tagmill teach select` on synthetic scores: seconds and peak memory by number of rows.

python bench/teach.py [--rows 10000000 100000000] [--rule balanced|unbalanced] [--quick] [--out FILE.json]

Each size runs in a process of its own, after its scores were made in another. An image has 10 scores of 1,000 classes; K
chooses a tenth of the rows. The peak is that of the process: Python with its libraries, and the engine, whose limit is 2 GB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.bench import measure
from tagmill.ingest.engines.engine import parquet_of
from tagmill.ingest.engines.open import open_engine
from tagmill.shards import Store
from tagmill.shards.progress.protocol import Silent
from tagmill.studies.selection.chosen_rows import SCORED, choose_rows
from tagmill.studies.selection.eligible import LEFT_OUT
from tagmill.studies.selection.select_options import SelectOptions

CLASSES, TOP, PIECE = 1_000, 10, 1_000_000  # PIECE: rows of a file


def write_scores(folder: Path, rows: int) -> None:
    """Writes files of scores."""
    for number, first in enumerate(range(0, rows, PIECE)):
        images = min(PIECE, rows - first) // TOP
        random = np.random.default_rng(number)
        keys = np.repeat([item.tobytes().hex() for item in random.integers(0, 1 << 63, (images, 2))], TOP)
        labels = (random.integers(0, CLASSES, images)[:, None] + np.arange(TOP) * 97) % CLASSES
        scores = -np.sort(-random.integers(0, 1 << 16, (images, TOP)), axis=1)
        columns = [pa.array(keys), pa.array(labels.ravel(), pa.int32()), pa.array(scores.ravel(), pa.int32())]
        pq.write_table(pa.table(columns, schema=SCORED), folder / f"{number:06d}.parquet")


def selected(rows: int, rule: str) -> dict[str, float]:
    """Returns seconds and peak memory of the statements at one size."""
    with tempfile.TemporaryDirectory() as folder:
        made = get_context("spawn").Process(
            target=write_scores, args=(Path(folder), rows)
        )  # whose memory is not counted
        made.start()
        made.join()
        if made.exitcode:
            sys.exit("the scores could not be written")
        names = sorted(path.name for path in Path(folder).glob("*.parquet"))
        options = SelectOptions(scores=folder, corpus=folder, view="student")
        start = time.perf_counter()
        with open_engine(options, Path(folder) / "engine") as engine:
            engine.bind_once("left_out", LEFT_OUT.empty_table())
            engine.bind_once("scored", parquet_of(Store(folder), names, SCORED))
            k = max(1, rows // (10 * CLASSES))
            chosen = choose_rows(engine, range(CLASSES), k, ranked_together=rule == "unbalanced", progress=Silent())
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return {"rows": rows, "chosen": chosen.rows, "seconds": round(seconds, 2), "peak_gib": round(peak, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000, 100_000_000])
    parser.add_argument("--rule", choices=["balanced", "unbalanced"], default="balanced")
    parser.add_argument("--quick", action="store_true", help="20,000 and 200,000 rows: a test that it runs")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    given = parser.parse_args()
    sizes = [20_000, 200_000] if given.quick else given.rows
    if len(sizes) == 1:
        print(json.dumps(selected(sizes[0], given.rule)))
        return
    runs = []
    for rows in sizes:
        words = [sys.executable, __file__, "--rows", str(rows), "--rule", given.rule]
        runs.append(json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout))
        print(json.dumps(runs[-1]), flush=True)
    ratio = round(runs[-1]["seconds"] / runs[0]["seconds"], 2)
    print(f"seconds of the last size over those of the first: {ratio}")
    if given.out is not None:
        cases: dict[str, dict[str, object]] = {
            f"{given.rule}, {run['rows']:,} rows": {"unit": "seconds", "median": run["seconds"], "runs": [run]}
            for run in runs
        }
        measure.write("teach", cases, {"seconds, last size / first size": ratio}, given.out)


if __name__ == "__main__":
    main()
