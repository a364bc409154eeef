"""Computes what a GPU that trains at a given rate needs of its machine: bytes over PCIe, cores, and network traffic."""

from dataclasses import dataclass
from typing import Literal

# For 256-pixel photographs on a core of an EPYC: 0.19 ms with restart markers, 0.22 without
# (bench/results/loader-2026-11-29.json, loader-plain). The cores' part of decoding on a GPU has no default: measure it
# (bench/gpu).
CPU_CORE_MS = 0.2


@dataclass(frozen=True)
class GpuNeeds:
    """All values are per second, at the given rate."""

    pcie_bytes: float  # to one GPU: encoded images if it decodes, else pixels
    cores: float | None  # of one rank; None if not measured
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
    """Returns the needs at `rate` images/s of each of `world` ranks, with up to `ranks` on a node. `core_ms` is
    milliseconds of a core for each image; `mean_bytes` the size of a sample in its tar, a little more than its image;
    `read` (requests, bytes) of one sample to the store."""
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
