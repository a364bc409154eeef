"""Makes large images of photographs side by side: they have the detail of photographs, which enlarged ones lack."""

import hashlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from tagmill.bench import measure
from tagmill.bench.corpora import QUALITY, once

ASPECT = 4 / 3  # width by height
VERSION = "1"


def prepare(pictures: list[Path], short_side: int, count: int) -> list[Path]:
    """Returns the files of `count` mosaics with this short side, made once under build/bench/mosaics."""
    whole = hashlib.sha256(f"{VERSION} {short_side} {count} {QUALITY}".encode())
    for path in pictures:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    folder = measure.ROOT / "build" / "bench" / "mosaics" / whole.hexdigest()[:12]
    return sorted(once(folder, lambda place: make(pictures, short_side, count, place)).iterdir())


def make(pictures: list[Path], short_side: int, count: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        first = number * len(pictures) // count
        (folder / f"{number:04d}.jpg").write_bytes(mosaic(pictures[first:] + pictures[:first], short_side))


def mosaic(pictures: list[Path], short_side: int) -> bytes:
    """Returns a JPEG, `short_side` pixels high, of rows of photographs in their own size, in order and repeated."""
    whole = Image.new("RGB", (round(short_side * ASPECT), short_side))
    source, top = photographs(pictures), 0
    while top < whole.height:
        left, heights = 0, list[int]()
        while left < whole.width:
            image = next(source)
            whole.paste(image, (left, top))
            left += image.width
            heights.append(image.height)
        top += min(heights)  # the next row covers what is below the lowest image
    file = io.BytesIO()
    whole.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def photographs(pictures: list[Path]) -> Iterator[Image.Image]:
    for path in itertools.cycle(pictures):
        with Image.open(path) as image:
            yield image.convert("RGB")
