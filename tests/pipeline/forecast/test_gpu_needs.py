"""Tests what a GPU needs of its machine."""

import pytest

from tagmill.pipeline.forecast.gpu_needs import CPU_CORE_MS, gpu_needs


def test_one_node_and_forty_two_nodes_of_eight() -> None:
    asked = {"size": 224, "core_ms": 0.2, "mean_bytes": 20_000.0, "read": (0.05, 21_000.0)}
    one = gpu_needs(3000, 336, 8, decode="gpu", **asked)  # type: ignore[arg-type]
    assert one.pcie_bytes == 60e6 and one.cores == pytest.approx(0.6) and one.node_cores == pytest.approx(4.8)
    assert one.nodes == 42 and one.store_bytes == pytest.approx(3000 * 336 * 21_000)
    assert one.store_requests == pytest.approx(50_400)
    pixels = gpu_needs(3000, 336, 8, decode="cpu", **asked)  # type: ignore[arg-type]
    assert pixels.pcie_bytes == 3000 * 3 * 224 * 224 and pixels.cores == one.cores


def test_nodes_are_rounded_up_and_a_single_rank_is_one_node() -> None:
    asked = {"size": 8, "core_ms": 1.0, "mean_bytes": 1.0, "read": (1.0, 1.0)}
    assert gpu_needs(1, 9, 8, decode="gpu", **asked).nodes == 2  # type: ignore[arg-type]
    alone = gpu_needs(1, 1, 8, decode="gpu", **asked)  # type: ignore[arg-type]
    assert alone.nodes == 1 and alone.node_cores == alone.cores


def test_unmeasured_costs_are_none() -> None:
    asked = {"size": 8, "core_ms": None, "mean_bytes": 1.0, "read": (1.0, 1.0)}
    assert gpu_needs(1000, 8, 8, decode="gpu", **asked).cores is None  # type: ignore[arg-type]
    assert gpu_needs(1000, 8, 8, decode="cpu", **asked).cores == pytest.approx(CPU_CORE_MS)  # type: ignore[arg-type]
