"""Samples of a set as we and torchvision read it, for tests of the published layouts."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tagmill.transfer.sets.labelled_set import LabelledSet
from tests.transfer.sets.made import png, write_files

Sample = tuple[list[Any], int]  # pixels and label


def ours(found: LabelledSet) -> list[Sample]:
    images = [Image.open(io.BytesIO(data or b"")) for data in found.read(range(len(found)))]
    return [(_pixels(image), each.labels[0]) for image, each in zip(images, found.examples, strict=True)]


def theirs(found: Any) -> list[Sample]:
    pairs = (found[place] for place in range(len(found)))
    return [(_pixels(image), int(label)) for image, label in pairs]


def _pixels(image: Image.Image) -> list[Any]:
    pixels: list[Any] = np.asarray(image.convert("RGB")).tolist()
    return pixels


def names(found: LabelledSet) -> list[str]:
    return [each.name for each in found.classes]


def write_images(folder: Path, paths: Iterable[str]) -> Path:
    """Writes another image to each path."""
    return write_files(folder, {path: png(number) for number, path in enumerate(paths)})
