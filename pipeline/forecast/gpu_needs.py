"""What a GPU that trains at a given rate asks of its machine: bytes over PCIe, cores, and of the network."""

from dataclasses import dataclass
from typing import Literal

# Measured: 256-pixel photographs on one core of an EPYC (bench/results/loader-2026-11-27.json). What the GPU's way costs the
# cores is to be measured (bench/gpu) and given.
CPU_CORE_MS = 0.4


@dataclass(frozen=True)
class GpuNeeds:
    """All per second, at the rate that was asked for."""

    pcie_bytes: float  # to one GPU: encoded pictures where it decodes, else pixels
    cores: float | None  # of one rank; None where nobody has measured it
    node_cores: float | None
    nodes: int
    store_bytes: float  # of all nodes together, from the store
    store_requests: float


def gpu_needs(
    rate: float,
    world: int,
    ranks: int,
    *,
    decode: Literal["gpu", "cpu"],
    size: int,
    core_ms: float | None,
    mean_bytes: float,
    read: tuple[float, float],
) -> GpuNeeds:
    """`rate` images/s of each of `world` ranks, up to `ranks` on a node; `core_ms` milliseconds of a core an image;
    `mean_bytes` of a sample in its tar, a little more than its picture; `read` is (requests, bytes) that one sample costs
    the store."""
    milliseconds = CPU_CORE_MS if core_ms is None and decode == "cpu" else core_ms
    cores = None if milliseconds is None else rate * milliseconds / 1000
    on_node = min(ranks, world)
    requests, read_bytes = read
    return GpuNeeds(
        pcie_bytes=rate * (mean_bytes if decode == "gpu" else 3 * size**2),
        cores=cores,
        node_cores=None if cores is None else cores * on_node,
        nodes=-(-world // ranks),
        store_bytes=rate * world * read_bytes,
        store_requests=rate * world * requests,
    )
