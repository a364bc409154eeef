"""Forecasts a node of 8 GPUs and 42 nodes, by the planning code, at the rates that bench/gpu measured on one GPU.

python -m tagmill.bench.gpu.plan RESULTS.json [--corpus URL] [--ranks 8] [--nodes 42] [--batch 24]

Without a corpus: the tables of a synthetic one of 2,000 shards and 20 million samples (bench/plan.py makes it), whose images
have 20 kB each.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tagmill.bench import corpora, measure, plan
from tagmill.bench.gpu.results import CPU, LOADER
from tagmill.pipeline.forecast.plan_command import Forecast, Needs, forecast

SHARDS = 2000


def rates(content: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Returns (images/s, core-milliseconds an image) of the loader without training, and of each network fed by it; by
    name."""
    found = {}
    for case in content["cases"].values():
        if not case["runs"] or case["part"] not in ("loader", "training"):
            continue
        if case["part"] == "loader" and case["name"] != LOADER:
            continue
        inner = [each for run in case["runs"] for each in run.get("loader", [run])]
        # Seconds of a core for 1,000 images are milliseconds for one.
        found[f"{case['corpus']}: {case['name']}"] = (case["median"], statistics.median(each[CPU] for each in inner))
    return found


def needs_of(corpus: str, view: str | None, rate: tuple[float, float], ranks: int, nodes: int, batch: int) -> Needs:
    """Returns the forecast for a number of nodes; `batch` images a rank."""
    world = ranks * nodes
    asked = Forecast(
        corpus=corpus,
        view=view,
        batch_size=batch * world,
        world=world,
        ranks=ranks,
        images_per_second=rate[0],
        core_ms=rate[1],
    )
    return forecast(asked)


def make_tables(folder: Path) -> None:
    """Makes the parts of a corpus that planning reads."""
    plan.make_corpus(folder, SHARDS)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--corpus", help="a folder or bucket prefix")
    parser.add_argument("--view", help="of the corpus")
    parser.add_argument("--ranks", type=int, default=8, help="GPUs of a node")
    parser.add_argument("--nodes", type=int, default=42)
    parser.add_argument("--batch", type=int, default=24, help="images a rank")
    options = parser.parse_args(arguments)
    corpus, view = options.corpus, options.view
    if corpus is None:
        place = measure.ROOT / "build" / "bench" / f"plan-{SHARDS}"
        corpora.once(place, make_tables)
        corpus, view = str(place), "natural"
    table = Table(
        "at the rate of", "nodes", "images/s, all", "GPU: PCIe MB/s", "cores/GPU", "node: MB/s", "all: GB/s", "hours"
    )
    for name, rate in rates(json.loads(options.results.read_text())).items():
        for nodes in dict.fromkeys((1, options.nodes)):
            needs = needs_of(corpus, view, rate, options.ranks, nodes, options.batch)
            wanted = needs.demand
            cells = [
                f"{rate[0] * options.ranks * nodes:,.0f}",
                f"{wanted.pcie_bytes / 1e6:,.1f}",
                f"{wanted.cores:,.2f}",
            ]
            cells += [
                f"{needs.bytes_per_second / 1e6:,.0f}",
                f"{wanted.store_bytes / 1e9:,.2f}",
                f"{needs.epoch_hours:,.2f}",
            ]
            table.add_row(name, str(nodes), *cells)
    console = Console()
    console.width = max(console.width, 132)  # also for a log
    console.print(table)


if __name__ == "__main__":
    main()
