"""What a decoding backend is, and which one a configuration gets."""

import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation, normalise
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode import compiled_normalise, libjpeg, pillow
from tagmill.pipeline.decode.cpu import Coming, CpuBackend, Jpegs
from tagmill.pipeline.decode.cpu_affinity import cores_per_rank, rank_cores
from tagmill.pipeline.decode.device import CPU_COST, dali_wheel, decide, look, once
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

# What DALI was measured to take on a CPU at 256 pixels (a test holds it): its libraries, and for each picture of the batches in
# it the memory of four, because a place keeps what its largest picture took, and threads keep what the allocator gave.
DALI_LIBRARIES = 120_000_000
PICTURES_A_PLACE = 4
PIXELS_A_BYTE = 3  # of a JPEG at quality 90


class Backend(Protocol):
    """Makes images of encoded pictures. Backends agree on crops exactly and on pixels within a few levels."""

    on_device: bool
    """Whether images come where batches are delivered, or else on the host."""

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """Windows `crops` of n pictures [n, 3, size, size] in channels_last memory, and which failed, bool [n]. The images are
        uint8, or floats where `how` says which.

        Rows of None (padding, holes) and of pictures that cannot be decoded, or do not contain their window, are zero.
        `coming` gives what the next calls will decode, as far as that is known: a backend may begin with it.
        """

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """Floats of uint8 images [n, 3, size, size] in channels_last memory, on any device. Images that are not `valid`
        (bool [n]) become zero. With `mix` they are mixed too."""

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """Calls `work` with masks that together are `rows` (bool [n]), each in a thread of its own where there are threads."""

    def close(self) -> None:
        """Ends what runs in the background."""


def working_memory(config: LoaderConfig, samples: int, jpeg: float) -> int:
    """Bytes that the backend takes on the host beside batches of `samples` pictures, whose JPEGs have `jpeg` bytes: about as
    much as was measured of DALI, since they are its own, and nothing to speak of without it: the rows of a window a thread."""
    if config.backend != "dali" and (config.device == "cpu" or config.backend != "auto" or dali_wheel() is None):
        return 0
    places = config.decoding.depth * samples * PICTURES_A_PLACE
    return DALI_LIBRARIES + int(places * 3 * PIXELS_A_BYTE * jpeg)


def choose(config: LoaderConfig) -> Backend:
    """The backend that is configured, or for 'auto' DALI where it is installed and batches go to a GPU, else the CPU's.

    Raises ConfigError where backend 'dali' is asked for and cannot be had."""
    threads = config.threads or cores_per_rank()
    cores = rank_cores() if config.pin else None
    choice = decide(config, look(config.device))
    if choice.why:
        once(choice.why)
    if choice.dali:
        from tagmill.pipeline.decode.dali import (
            DaliBackend,
        )  # loaded only where it is used: it takes a second and 500 MB

        failure = "" if config.device == "cpu" else DaliBackend(1, config.device, choice.decoding).failure()
        if not failure:
            log.info("decoding with DALI on %s, %d threads", config.device, threads)
            return DaliBackend(threads, config.device, choice.decoding)
        if config.backend == "dali":
            raise ConfigError(f"backend 'dali', but {failure}", "loader", "use backend cpu, or mend what it says")
        once(f"decoding on the CPU, because {failure}; {CPU_COST}")
    elsewhere = compiled_normalise.compiled_normalise if config.decoding.fused else normalise
    if config.backend != "pillow" and libjpeg.libjpeg_is_compiled():
        log.info("decoding with libjpeg, %d threads", threads)
        return CpuBackend(threads, libjpeg.fill_with_libjpeg, elsewhere, cores)
    log.info("decoding with Pillow, %d threads", threads)
    return CpuBackend(threads, pillow.fill_with_pillow, elsewhere, cores)
