"""The interface of decoding backends, and the choice of one for a configuration."""

import logging
import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation, normalise
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode import compiled_normalise, libjpeg
from tagmill.pipeline.decode.buffer_pool import page_locked, paged
from tagmill.pipeline.decode.choice.device import CPU_COST, dali_wheel, decide, detect, warn_once
from tagmill.pipeline.decode.choice.division import DIVISION_PERIOD, Division, divide, divide_threads
from tagmill.pipeline.decode.choice.pictures import UNKNOWN, Pictures
from tagmill.pipeline.decode.cpu import Coming, CpuBackend, Jpegs
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank, rank_cores
from tagmill.pipeline.decode.in_turn import InTurn
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

# DALI's memory on a CPU at 256 pixels (a test measures it): its libraries, and for each image of the batches in it the
# memory of four, because a slot keeps the memory of its largest image, and threads that of the allocator.
DALI_LIBRARIES = 120_000_000
PICTURES_A_SLOT = 4
PIXELS_A_BYTE = 3  # of a JPEG of quality 90

SLOWEST = 100  # times the mean that an image may take without other threads having to wait for it


class Backend(Protocol):
    """Decodes JPEGs to images. All backends give exactly the same crops, and pixels within a few levels."""

    on_device: bool
    """True if images are made on the device of delivery, False on the host."""

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """Decodes the windows `crops` of n JPEGs to images [n, 3, size, size] in channels_last memory, and returns the
        mask of failures, bool [n]. Images are uint8, or normalised floats if `how` is given.

        Rows of None (padding, holes), of JPEGs that cannot be decoded and of windows outside their image are zero.
        `coming` returns JPEGs, crops and size of the next calls, if known, so that a backend can start them early.
        """

    def wake(self) -> None:
        """Says, from any thread, that `coming` may know a further call."""

    def seconds(self) -> npt.NDArray[np.float64] | None:
        """Returns the seconds that each image of the last batch given to `decode` took, [n], from any thread: negative if
        it is in progress, 0 if it was not begun. None if they are not known."""

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """Normalises uint8 images [n, 3, size, size] to floats in channels_last memory, on any device. Images that are
        not `valid` (bool [n]) become zero. With `mix` they are mixed too."""

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """Calls `work` with masks that together are `rows` (bool [n]), each in its own thread if the backend has
        threads."""

    def close(self) -> None:
        """Ends the background threads."""


def working_memory(config: LoaderConfig, samples: int, jpeg: float) -> int:
    """Returns the bytes of host memory that the backend needs in addition to batches of `samples` images whose JPEGs
    have `jpeg` bytes. With DALI an estimate from measurements; otherwise 0, because each thread needs only the rows of
    one window."""
    if config.backend not in ("dali", "both") and (
        config.device == "cpu" or config.backend != "auto" or dali_wheel() is None
    ):
        return 0
    slots = config.decoding.depth * samples * PICTURES_A_SLOT
    return DALI_LIBRARIES + int(slots * 3 * PIXELS_A_BYTE * jpeg)


def batches_ahead(config: LoaderConfig, slots: int) -> int:
    """Returns how many batches of `slots` images are worth beginning while an earlier one is incomplete: those that all
    threads decode while one of them decodes an image that takes SLOWEST times as long. DALI alone begins as many as its
    depth says; beside the CPU it must know of its next batch wherever in the division that is."""
    if config.backend == "dali":
        return 1
    threads = config.threads or cores_per_rank(budget=config.cores)
    may_divide = config.backend == "both" or (config.backend == "auto" and config.device != "cpu")
    return max(DIVISION_PERIOD if may_divide else 1, math.ceil(SLOWEST * threads / slots))


def choose(config: LoaderConfig, pictures: Pictures = UNKNOWN) -> Backend:
    """Returns the configured backend. For 'auto' the CPU backend if batches stay on the CPU; on a GPU DALI, the CPU or
    both, by the rule in `choice/division.py`, or the CPU if DALI does not run. Logs the choice with its reason.

    Raises ConfigError if backend 'dali' or 'both' is configured and cannot run.
    """
    threads = config.threads or cores_per_rank(budget=config.cores)
    division = _division(config, pictures)
    if not division.dali:
        return _on_cpu(config, threads, division.why)
    choice = decide(config, detect(config.device), cuttable=pictures.cuttable)
    if choice.why:
        warn_once(choice.why)
    if choice.dali:
        from tagmill.pipeline.decode.dali import (
            DaliBackend,
        )  # imported only where it is used: it takes a second and 500 MB

        failure = "" if config.device == "cpu" else DaliBackend(1, config.device, choice.decoding).failure()
        if not failure and division.dali == DIVISION_PERIOD:
            log.info("decoding with DALI on %s, %d threads%s", config.device, threads, _because(division.why))
            return DaliBackend(threads, config.device, choice.decoding)
        if not failure:
            helping, decoding = divide_threads(threads, division, pictures.mean_bytes)
            share = f"{division.dali} of {DIVISION_PERIOD} batches, {helping} threads"
            log.info("decoding with DALI on %s (%s) and on the CPU%s", config.device, share, _because(division.why))
            dali = DaliBackend(helping, config.device, choice.decoding)
            return InTurn(dali, _on_cpu(config, decoding), division, config.device)
        if config.backend != "auto":
            raise ConfigError(
                f"backend {config.backend!r}, but {failure}", "loader", "use backend cpu, or fix the cause"
            )
        warn_once(f"decoding on the CPU, because {failure}; {CPU_COST}")
    return _on_cpu(config, threads)


def _division(config: LoaderConfig, pictures: Pictures) -> Division:
    """Returns which batches DALI is to make, if it runs: as configured, or for 'auto' on a GPU by the rule."""
    if config.backend == "dali":
        return Division(DIVISION_PERIOD)
    if config.backend == "both":
        return Division.of(config.decoding.dali_share, "by decoding.dali_share")
    if config.backend != "auto" or config.device == "cpu":
        return Division(0)
    cores = cores_per_rank(budget=config.cores)
    used = min(cores, config.threads or cores)
    return divide(used, pictures.mean_bytes, is_compiled=libjpeg.libjpeg_is_compiled())


def _on_cpu(config: LoaderConfig, threads: int, why: str = "") -> CpuBackend:
    cores = rank_cores(budget=config.cores) if config.pin else None
    normalise_on_device = compiled_normalise.compiled_normalise if config.decoding.fused else normalise
    fresh = paged if config.device == "cpu" else page_locked
    if config.backend != "pillow" and libjpeg.libjpeg_is_compiled():
        log.info("decoding with libjpeg, %d threads%s", threads, _because(why))
        return CpuBackend(threads, libjpeg.fill_with_libjpeg, normalise_on_device, cores, fresh)
    from tagmill.pipeline.decode.pillow import fill_with_pillow  # loaded only where it is used

    log.info("decoding with Pillow, %d threads%s", threads, _because(why))
    return CpuBackend(threads, fill_with_pillow, normalise_on_device, cores, fresh)


def _because(why: str) -> str:
    return f": {why}" if why else ""
