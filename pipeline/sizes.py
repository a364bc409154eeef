"""Sizes of images that change from batch to batch: drawn at random, or growing over epochs."""

import re
from dataclasses import dataclass
from typing import Annotated

from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import Between, Count, check_fields

Side = Annotated[int, Between(1, 65_535)]  # the largest side of a JPEG
TEXT = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?(?:@([0-9.e+-]{1,32}))?)?", re.ASCII)


@dataclass(frozen=True)
class VariedSize:
    """A side for each batch, drawn from `least`, `least` + `step` and so on to `most` pixels, all equally likely.

    Training at several scales, as S. Mehta and M. Rastegari, "MobileViT", ICLR 2022. Raises ConfigError if `most` is not
    a whole number of steps above `least`.
    """

    least: Side
    most: Side
    step: Count = 32

    def __post_init__(self) -> None:
        check_fields(self, "size")
        _check_steps(self.least, self.most, self.step)

    def __str__(self) -> str:
        return f"{self.least}-{self.most}:{self.step}"

    @property
    def sides(self) -> range:
        """All sides in pixels, ascending."""
        return range(self.least, self.most + 1, self.step)


@dataclass(frozen=True)
class ProgressiveSize:
    """A side that grows from `first` by `step` to `last` pixels. Each side is used for an equal part of `epochs`, and
    `last` from then on; a part may begin in the middle of an epoch. In a mixture the epochs of its first corpus count.

    Progressive resizing, as M. Tan and Q. Le, "EfficientNetV2", ICML 2021. Raises ConfigError if `last` is not a whole
    number of steps above `first`.
    """

    first: Side
    last: Side
    epochs: Annotated[float, Between(0, above=True)]
    step: Count = 32

    def __post_init__(self) -> None:
        check_fields(self, "size")
        _check_steps(self.first, self.last, self.step)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}:{self.step}@{repr(float(self.epochs)).removesuffix('.0')}"

    @property
    def sides(self) -> range:
        """All sides in pixels, ascending."""
        return range(self.first, self.last + 1, self.step)


Size = int | VariedSize | ProgressiveSize


def parse_size(text: str | int) -> Size:
    """Returns the size that a text describes: "224"; "128-320:32", a VariedSize from 128 to 320 by 32; "128-320:32@10",
    a ProgressiveSize over 10 epochs. Without ":32" the step is 32. Raises ConfigError for another text."""
    remedy = (
        "give one side as 224, sides drawn for each batch as 128-320:32, or growing over 10 epochs as 128-320:32@10"
    )
    found = TEXT.fullmatch(str(text))
    if found is None or found[1] == "0" * len(found[1]):
        raise ConfigError(f"size = {text!r}", "size", remedy)
    first, last, step, epochs = found.groups()
    if last is None:
        return int(first)
    sides, by = (int(first), int(last)), int(step or VariedSize.step)
    if epochs is None:
        return VariedSize(*sides, by)
    try:
        return ProgressiveSize(*sides, float(epochs), by)
    except ValueError as error:
        raise ConfigError(f"size = {text!r}", "size", remedy) from error


def largest_side(size: Size) -> int:
    """Returns the largest side that images of a size have, in pixels."""
    return size if isinstance(size, int) else size.sides[-1]


def _check_steps(low: int, high: int, step: int) -> None:
    if low >= high or (high - low) % step:
        below = max(low + step, high - (high - low) % step)
        remedy = f"the largest must be a whole number of steps above the smallest: give {low} to {below} by {step}"
        raise ConfigError(f"sides from {low} to {high} by {step} pixels", "size", remedy)
