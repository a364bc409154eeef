"""What a decoding backend is, and which one a configuration gets."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment import Crops
from tagmill.pipeline.batch import Normalisation
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.cpu import GROUP, TURNS, Coming, CpuBackend, Jpegs
from tagmill.pipeline.pillow import PillowWindows
from tagmill.shards.errors import ConfigError

log = logging.getLogger(__name__)

# What DALI was measured to take on a CPU at 256 pixels (a test holds it): its libraries, and for each window that it holds four
# pictures' worth, because a place keeps what its largest window took, and threads keep what the allocator gave.
DALI_LIBRARIES = 90_000_000
PICTURES_A_WINDOW = 4
PIXELS_A_BYTE = 3  # of a JPEG at quality 90


class Backend(Protocol):
    """Makes images of encoded pictures. Backends agree on crops exactly and on pixels within a few levels."""

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """Windows `crops` of n pictures [n, 3, size, size] in channels_last memory, and which failed, bool [n]. The images are
        uint8, or floats where `how` says which.

        Rows of None (padding, holes) and of pictures that cannot be decoded, or do not contain their window, are zero.
        `coming` gives what the next call will decode, if that is known: a backend may begin with it.
        """

    def normalise(self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation) -> torch.Tensor:
        """Floats of uint8 images [n, 3, size, size] in channels_last memory, on any device. Images that are not `valid`
        (bool [n]) become zero."""

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """Calls `work` with masks that together are `rows` (bool [n]), each in a thread of its own where there are threads."""

    def close(self) -> None:
        """Ends what runs in the background."""


def working_memory(config: LoaderConfig, jpeg: float) -> int:
    """Bytes that the chosen backend takes on the host beside the batches, for pictures whose JPEGs have `jpeg` bytes: about as
    much as was measured, since they are the decoder's own."""
    if config.backend == "pillow" or not _dali_is_installed():
        return 0
    return DALI_LIBRARIES + int(TURNS * GROUP * PICTURES_A_WINDOW * 3 * PIXELS_A_BYTE * jpeg)


def _dali_is_installed() -> bool:
    return bool(importlib.util.find_spec("nvidia") and importlib.util.find_spec("nvidia.dali"))


def choose(config: LoaderConfig) -> Backend:
    """The backend that is configured, or for 'auto' DALI where it is installed and batches go to a GPU, else the CPU's."""
    threads = config.threads or cores_per_rank()
    installed = _dali_is_installed()
    if config.backend == "dali" and not installed:
        raise ConfigError(
            "backend 'dali', but DALI is not installed", "loader", "pip install 'tagmill[dali]', or use backend cpu"
        )
    if config.backend == "dali" or (config.backend == "auto" and installed and config.device != "cpu"):
        from tagmill.pipeline.dali import DaliBackend  # loaded only where it is used: it takes a second and 500 MB

        log.info("decoding with DALI on %s, %d threads", config.device, threads)
        return DaliBackend(threads, config.device)
    if config.backend == "auto" and config.device != "cpu":
        log.warning("decoding on the CPU, because DALI is not installed: pip install 'tagmill[dali]'")
    if installed and config.backend != "pillow":
        from tagmill.pipeline.dali import DaliWindows

        log.info("decoding with DALI's region decoder, %d threads", threads)
        return CpuBackend(threads, DaliWindows(threads))
    log.info("decoding with Pillow, %d threads", threads)
    return CpuBackend(threads, PillowWindows())


def cores_per_rank(environment: Mapping[str, str] = os.environ) -> int:
    """The cores that this process may use, divided among the ranks on this machine (LOCAL_WORLD_SIZE, set by torchrun)."""
    ranks = environment.get("LOCAL_WORLD_SIZE", "1")
    return max(1, len(os.sched_getaffinity(0)) // max(1, int(ranks) if ranks.isdecimal() else 1))
