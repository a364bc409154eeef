"""Tests forecasts of one node of eight GPUs and of many, at measured rates."""

from typing import Any

import pytest

from tagmill.bench.gpu import plan
from tagmill.bench.gpu.results import GRAPH, LOADER


def test_rates_are_those_of_the_loader_and_the_networks() -> None:
    figures = {"images_per_second": 500.0, "cpu_seconds_per_1000_images": 0.4}
    training: dict[str, Any] = {"images_per_second": 90.0, "loader": [{**figures, "cpu_seconds_per_1000_images": 2.0}]}
    cases = {
        "a": {"part": "loader", "corpus": "256", "name": LOADER, "runs": [figures], "median": 500.0},
        "b": {
            "part": "loader",
            "corpus": "256",
            "name": "tagmill, decoding on the CPU",
            "runs": [figures],
            "median": 5.0,
        },
        "c": {"part": "limit", "corpus": "256", "name": GRAPH, "runs": [figures], "median": 600.0},
        "d": {"part": "training", "corpus": "full", "name": "vit", "runs": [training], "median": 90.0},
        "e": {"part": "training", "corpus": "256", "name": "vit", "runs": [], "reason": "no time"},
    }
    assert plan.rates({"cases": cases}) == {f"256: {LOADER}": (500.0, 0.4), "full: vit": (90.0, 2.0)}


def test_forty_two_nodes_by_the_planning_code(tmp_path: Any) -> None:
    from tagmill.bench.plan import make_corpus

    url = make_corpus(tmp_path / "corpus", 200)
    needs = plan.needs_of(url, "natural", (1000.0, 0.5), ranks=8, nodes=42, batch=24)
    assert needs.demand.nodes == 42 and needs.demand.node_cores == pytest.approx(4.0)
    assert needs.local_batch_size >= 24 and needs.demand.pcie_bytes == pytest.approx(1000 * 20_000, rel=0.01)
    assert needs.demand.store_bytes == pytest.approx(42 * needs.bytes_per_second)
