"""The rule by which DALI, the CPU, or both in turn make the batches of a GPU.

It is arithmetic on the cores of a rank, the mean size of the images and the figures below: the load of a moment does
not enter, so that a run can be repeated.
"""

from dataclasses import dataclass

from tagmill.pipeline.decode.choice.pictures import TYPICAL_BYTES

DIVISION_PERIOD = 8  # batches after which a division repeats

# The most images/s that a GPU uses: ResNet-50 on 8 H200, MLPerf Training v4.0 (63,568 images/s); 7,159 for 8 H100.
NEEDED = 7_946
# Share of the cores that the loader may keep busy: fuller CPUs delay the launch of kernels. From SPDL's documentation,
# optimization_guide/noisy_neighbour ("at most 40 %").
SPARE_CORES = 0.4
# Core-milliseconds of the CPU backend for an image of TYPICAL_BYTES. From 32 kB (0.29 ms) to 292 kB (2.5 ms) the time is
# proportional to the bytes (bench/results/host-costs-2026-11-29.json). Cutting images with restart markers saves a fifth,
# which is not counted on. Pillow takes twice as long.
CPU_MS, PILLOW = 0.30, 2.0
# Core-milliseconds of the loader with DALI for any image: the upper of the two figures of the loader on one H100
# (docs/reference/gpu-measurements.md).
DALI_MS = 0.56
# Images/s of DALI's decoder at two sizes. At 33 kB the lowest figure of our graph on one H100 (same page). At 1,024
# pixels, taken as 307 kB: 49,911 images/s on 8 B200 (aicr-benchmarks, optimized-backend-crossover).
DALI_RATES = ((TYPICAL_BYTES, 18_300.0), (307_000.0, 6_239.0))
LEAST_GAIN = 1.05  # how much faster both must be than DALI alone


@dataclass(frozen=True)
class Division:
    """Which batches DALI makes: `dali` of each DIVISION_PERIOD, spread evenly; the CPU makes the others."""

    dali: int
    why: str = ""

    @classmethod
    def of(cls, share: float, why: str = "") -> "Division":
        """Returns the division with the nearest share for DALI at which each decoder makes some batches."""
        return cls(min(DIVISION_PERIOD - 1, max(1, round(share * DIVISION_PERIOD))), why)

    def __str__(self) -> str:
        if self.dali in (0, DIVISION_PERIOD):
            return "DALI" if self.dali else "CPU"
        return f"both, DALI {self.dali} of {DIVISION_PERIOD} batches"

    def is_dalis(self, number: int) -> bool:
        """Returns whether DALI makes the batch with that number in its epoch."""
        turn = number % DIVISION_PERIOD
        return (turn + 1) * self.dali // DIVISION_PERIOD > turn * self.dali // DIVISION_PERIOD


def divide_threads(threads: int, division: Division, mean_bytes: float) -> tuple[int, int]:
    """Returns how many of a rank's threads help DALI and how many decode on the CPU when both make batches: in
    proportion to the processor time of their batches, and at least one each."""
    by_dali = division.dali * DALI_MS
    by_cpu = (DIVISION_PERIOD - division.dali) * CPU_MS * mean_bytes / TYPICAL_BYTES
    helping = min(threads - 1, max(1, round(threads * by_dali / (by_dali + by_cpu))))
    return max(1, helping), max(1, threads - helping)


def dali_rate(mean_bytes: float) -> float:
    """Returns the images/s of DALI's decoder on a GPU: the time of an image is a constant and a part proportional to
    its bytes, through DALI_RATES. A coarse estimate."""
    (small, fast), (large, slow) = DALI_RATES
    slope = (1 / slow - 1 / fast) / (large - small)
    return 1 / max(0.5 / fast, 1 / fast + slope * (mean_bytes - small))


def divide(cores: int, mean_bytes: float, *, is_compiled: bool = True) -> Division:
    """Returns the division for a rank with that many cores: the CPU if it keeps up with any GPU's training, because
    then the GPU has only the training to do; else DALI if it does; else the fastest of DALI, the CPU and both.

    `is_compiled`: whether the CPU backend has libjpeg.
    """
    busy = SPARE_CORES * cores  # cores that may be in use
    cpu_ms = CPU_MS * mean_bytes / TYPICAL_BYTES * (1.0 if is_compiled else PILLOW)
    by_cpu, limit = 1000 * busy / cpu_ms, dali_rate(mean_bytes)
    by_dali = min(limit, 1000 * busy / DALI_MS)
    given = f"{cores} cores ({SPARE_CORES:.0%} of them) and images of {mean_bytes / 1000:,.0f} kB"
    figures = f"{given}: CPU {by_cpu:,.0f} images/s, DALI {by_dali:,.0f}; a GPU uses at most {NEEDED:,}"
    if by_cpu >= NEEDED:
        return Division(0, figures)
    if by_dali >= NEEDED:
        return Division(DIVISION_PERIOD, figures)
    rest = 1000 * max(0.0, busy - by_dali * DALI_MS / 1000) / cpu_ms  # images/s of the cores that DALI leaves
    if by_cpu < by_dali and by_dali + rest >= LEAST_GAIN * by_dali:
        return Division.of(by_dali / (by_dali + rest), f"{figures}; both {by_dali + rest:,.0f}")
    return Division(0 if by_cpu >= by_dali else DIVISION_PERIOD, figures)
