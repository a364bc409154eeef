"""The loader's configuration, frozen and checked when it is created, and the rank and world of a process."""

import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tagmill.pipeline.decoding import Decoding
from tagmill.pipeline.sizes import ProgressiveSize, VariedSize, largest_side
from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import Between, Count, Share, check_fields
from tagmill.shards.storage.store import is_local, local_path

log = logging.getLogger(__name__)

GIB = 1 << 30
FAILURE_FLOOR = 20  # holes that never stop a run: a share of a small number of samples means nothing
DEFAULT_STREAMS = 256
STREAMS_PER_RANK = 8  # large enough that a slightly larger or smaller world still divides the streams nearly evenly
LOCAL_READERS = 4
REMOTE_READERS, MOST_READERS = 32, 128  # at the start, and at most: 25,000 images/s at 200 ms a chunk need 80

MOST_JITTER = 10.0
MOST_HUE = 0.5  # of the full circle, to both sides
MOST_OPERATIONS = 16
MOST_MAGNITUDE = 30  # of RandAugment's 31 bins
LEAST_ALPHA, MOST_ALPHA = 0.01, 100.0  # between which a beta distribution is exact to 1e-5


@dataclass(frozen=True)
class World:
    """Rank and world size of a process that trains together with others."""

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise ConfigError(f"rank {self.rank} of {self.size}", "world", "ranks run from 0 to size - 1")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "World":
        """Returns the world of RANK and WORLD_SIZE, as torchrun sets them; a single process if both are missing. Raises
        ConfigError for one without the other: every process would be the first."""
        if len(given := {"RANK", "WORLD_SIZE"} & environment.keys()) == 1:
            remedy = "set both, initialise torch.distributed first, or give the loader its World(rank, size)"
            raise ConfigError(f"{given.pop()} without the other of RANK and WORLD_SIZE", "environment", remedy)
        try:
            return cls(int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1")))
        except ValueError as error:
            raise ConfigError(
                f"RANK or WORLD_SIZE: {error}", "environment", "start with torchrun, or unset both"
            ) from error


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """How a corpus is streamed. Raises ConfigError for an invalid value.

    The order of an epoch is a function of the corpus, the view, `seed`, `streams`, `window` and `chunk` only; a state
    can be resumed only if these and `batch_size`, `split`, `drop_last`, `augment` and its options
    are the same, and `size` if it varies.
    """

    view: str | None = "default"
    """The labelling to read; None: every sample once, without labels."""
    split: Literal["train", "holdout"] = "train"
    batch_size: Count = 256
    """Images of a batch, all ranks together."""
    seed: Annotated[int, Between(0, (1 << 63) - 1)] = 0
    streams: Count | None = None
    """T, the number of streams among which the shuffled chunks are divided: at least the world's size. None: see
    `resolve_streams`."""
    window: Count = 2
    """w, the chunks that a stream mixes."""
    chunk: Count = 64
    """C, the consecutive samples that are fetched together."""
    size: Count | VariedSize | ProgressiveSize = 224
    """Side of the square images, in pixels. With augment train it may vary from batch to batch: the same for all ranks,
    a function of `seed` and the batch's place in the order."""
    augment: Literal["train", "eval"] = "train"
    """train: random resized crop and flip; eval: short side to 256/224 of `size`, then the centre."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """With augment train: ranges of brightness, contrast, saturation and hue. Factors are from 1 - x to 1 + x, the hue
    rotates by up to x of the circle (at most 0.5); in a random order, after crop and flip. 0 turns one off."""
    randaugment: tuple[int, int] = (0, 0)
    """With augment train: N operations of RandAugment (Cubuk et al. 2019) at magnitude M of 30, after the jitter;
    pixels from outside an image are black. (0, 0): none; (2, 9) is usual."""
    mixup: float = 0.0
    """With augment train: the alpha of mixup (Zhang et al. 2017), 0 for none. Images are mixed when they are
    normalised, by the loader or by `Batch.normalised`; the loss uses `Batch.terms`."""
    output: Literal["uint8", "float32", "bfloat16"] = "uint8"
    """Type of the images; floats are normalised with `mean` and `std`."""
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Red, green, blue in units of 0..255: ImageNet's by default."""
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    drop_last: bool = False
    """Leaves out an epoch's last batch if it is short."""
    backend: Literal["auto", "cpu", "pillow", "dali", "both"] = "auto"
    """dali: DALI makes whole batches on `device`. cpu: libjpeg on the CPU, or Pillow if libjpeg.c was not compiled;
    pillow: Pillow in any case. both: DALI and the CPU at once, each its own batches (`Decoding.dali_share`). auto: cpu if
    batches stay on the CPU; on a GPU cpu, dali or both, by the cores of the rank and the size of the images
    (docs/how-to/gpu.md has the rule). Pixels differ by a few levels between decoders."""
    device: str = "cpu"
    """cpu, cuda or cuda:N: where batches are delivered. cuda is the GPU of torch.cuda.set_device, or of LOCAL_RANK;
    auto is that, or the CPU if there is none."""
    decoding: Decoding = field(default_factory=Decoding)
    """Options for decoding on a GPU."""
    threads: Count | None = None
    """Decoding threads of this rank, or with a GPU its helper threads; None: as many as the rank has cores (see
    `cores`)."""
    cores: Count | None = None
    """The most cores that this rank's loader may use, of its part of the machine; None: all of the part, which is an
    equal one for each rank. Decoding threads, DALI's helper threads and readers of a local store are no more than that,
    unless `threads` or `readers` is given. With `pin` no thread of the loader leaves these cores."""
    pin: bool = False
    """Pins all threads of the loader to this rank's part of the cores (or `cores` of them), so that the ranks of a
    machine do not disturb each other."""
    readers: Count | None = None
    """Chunks that are read at the same time. None: see `reader_range`."""
    epochs: Count | None = None
    """Number of epochs: a `for` after the last one raises ConfigError. None: any number. A loader that restarts ignores
    it."""
    restart: bool | None = None
    """Whether every `for` begins at the first batch, as for an evaluation; the first one after `load_state_dict`
    resumes from the state. False: every `for` resumes from the state, as for training. None: True for split 'holdout'.
    """
    memory_limit: Count = 8 * GIB
    """Limit in bytes of this rank's open samples and batches."""
    plan_cache: str | Path | None = None
    """Folder in which the ranks of a machine share the shard tables of a large corpus. None: tagmill in the user's
    cache folder."""
    cache: str | Path | None = None
    """Folder of this machine for copies of what was read, shared by its ranks. None: no cache.

    Copies and tables are in subfolders of `cache` and `plan_cache`; other files there are not touched. Both paths are
    made absolute here, and ~ is expanded.
    """
    cache_what: Literal["all", "facts"] = "all"
    """What is copied there: all, or only facts (indexes, labels, runs). In a shuffled epoch of a corpus that is much
    larger than `cache_limit` images are hardly ever found again, and facts, a two-hundredth of the bytes, are."""
    cache_limit: Count = 64 * GIB
    """Limit in bytes of the copies; the least recently read ones are deleted first."""
    failure_budget: Share = 0.001
    """Share of samples that may be holes (unreadable, undecodable) before a run stops; at least 20 are always allowed.
    """
    even: bool = False
    """Uses the largest number of ranks that divides both streams and batch size, and leaves the others idle."""

    def __post_init__(self) -> None:
        check_fields(self, "loader")
        self._require(self.view is None or isinstance(self.view, str), "view", "give its name, or None")
        for name in ("cache", "plan_cache"):
            self._resolve_folder(name)
        self._require(
            bool(re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device)), "device", "give auto, cpu, cuda or cuda:N"
        )
        for name in ("mean", "std"):
            colours = getattr(self, name)
            fits = len(colours) == 3 and all(
                math.isfinite(value) and (value > 0 or name == "mean") for value in colours
            )
            self._require(fits, name, "give red, green and blue in units of 0..255, a deviation above 0")
            check_units(name, colours)
        self._check_augmentation()
        self._check_size()

    def _resolve_folder(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        text = str(value) if isinstance(value, str | Path) else ""
        fits = bool(text.strip()) and is_local(text) and "\0" not in text
        self._require(fits, name, "give a folder of this machine, or None (an empty name is often a variable not set)")
        object.__setattr__(self, name, str(local_path(text)))

    def _check_augmentation(self) -> None:
        limits = (MOST_JITTER, MOST_JITTER, MOST_JITTER, MOST_HUE)
        fits = len(self.jitter) == 4 and all(_is_within(value, 0, most) for value, most in zip(self.jitter, limits))
        remedy = (
            f"give brightness, contrast, saturation (0 to {MOST_JITTER}) and hue (0 to {MOST_HUE}), each 0 for none"
        )
        self._require(fits, "jitter", remedy)
        fits = len(self.randaugment) == 2 and all(map(_is_whole, self.randaugment))
        fits = fits and 1 <= self.randaugment[0] <= MOST_OPERATIONS and 0 <= self.randaugment[1] <= MOST_MAGNITUDE
        remedy = f"give 1 to {MOST_OPERATIONS} operations and a magnitude of 0 to {MOST_MAGNITUDE}, or (0, 0) for none"
        self._require(fits or tuple(self.randaugment) == (0, 0), "randaugment", remedy)
        fits = _is_within(self.mixup, 0, 0) or _is_within(self.mixup, LEAST_ALPHA, MOST_ALPHA)
        self._require(fits, "mixup", f"give an alpha from {LEAST_ALPHA} to {MOST_ALPHA}, or 0 for none")
        for name in ("jitter", "randaugment", "mixup") if self.augment != "train" else ():
            off = getattr(self, name) == getattr(type(self), name)
            self._require(off, name, f"it is for augment 'train', this is {self.augment!r}: leave it out")

    def _check_size(self) -> None:
        varies = isinstance(self.size, VariedSize | ProgressiveSize)
        fits = varies or (_is_whole(self.size) and self.size >= 1)  # type: ignore[operator]  # not of another class
        self._require(fits, "size", "give a whole number of at least 1, a VariedSize or a ProgressiveSize")
        remedy = f"a size that varies is for augment 'train', this is {self.augment!r}: give one side"
        self._require(not varies or self.augment == "train", "size", remedy)

    @property
    def largest_size(self) -> int:
        """The largest side that the images of a batch have, in pixels."""
        return largest_side(self.size)

    def _require(self, fits: bool, name: str, remedy: str) -> None:
        if not fits:
            raise ConfigError(f"{name} = {getattr(self, name)!r}", "loader", remedy)

    def resolve_streams(self, world_size: int) -> int:
        """Returns T: as configured, or 256 for worlds of up to 32 ranks and 8 a rank above. A resumed run keeps its
        first T."""
        if self.streams is not None:
            return self.streams
        return max(DEFAULT_STREAMS, STREAMS_PER_RANK * world_size)

    def reader_range(self, remote: bool) -> tuple[int, int]:
        """Returns how many chunks are read at a time, at the start and at most: `readers` as configured, or 4 for a
        local store, or `cores` if that is less. For a remote one 32 to 128, which mostly wait: the number follows the
        latency of a chunk and the rate of batches."""
        if self.readers is not None:
            return self.readers, self.readers
        local = min(LOCAL_READERS, self.cores or LOCAL_READERS)
        return (REMOTE_READERS, MOST_READERS) if remote else (local, local)

    @property
    def restarts(self) -> bool:
        """`restart` as configured, or else whether the split is held out."""
        return self.split == "holdout" if self.restart is None else self.restart

    def read_ahead(self, remote: bool, readers: int) -> int:
        """Returns the samples that may be open in addition to the windows, with that many readers. The last chunk of a
        block fits into the windows only when the next block begins, and a remote store takes longer than that: so each
        reader may hold one more chunk."""
        return readers * self.chunk if remote else 0

    def cache_folder(self, environment: Mapping[str, str] = os.environ) -> Path | None:
        """Returns `plan_cache`, or a folder in $XDG_CACHE_HOME, or in ~/.cache; None for a user without a home folder."""
        if self.plan_cache is not None:
            return Path(self.plan_cache)
        given = environment.get("XDG_CACHE_HOME") or ""
        if Path(given).is_absolute():  # the standard: a relative one is invalid and is ignored
            return Path(given) / "tagmill"
        try:
            return Path.home() / ".cache" / "tagmill"
        except RuntimeError:  # a container's user without a passwd entry
            log.warning("no home folder: the ranks of a machine share no tables; plan_cache names a folder for them")
            return None

    def allowed_holes(self, samples: int) -> int:
        """Returns how many holes among `samples` are within the failure budget."""
        return max(FAILURE_FLOOR, int(self.failure_budget * samples))


def check_units(name: str, colours: Sequence[float]) -> None:
    """Raises ConfigError for a `mean` or a `std` of red, green and blue in units of 0..1, as torchvision's are: images
    would be 255 times too bright. Zeros are a valid mean."""
    if any(colours) and all(value < 1 for value in colours):
        scaled = ", ".join(f"{255 * value:g}" for value in colours)
        remedy = f"its units are 0..255, and these look like units of 0..1: give ({scaled})"
        raise ConfigError(f"{name} = {tuple(colours)}", "loader", remedy)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_within(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
