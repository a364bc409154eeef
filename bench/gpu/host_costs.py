"""Measures what an image costs the host, by its size: the CPU backend's decoding, and cutting its window from its bytes.

python -m tagmill.bench.gpu.host_costs [--images DIR] [--rounds N] [--quick] [--out FILE.json]

The rule for who decodes (pipeline/decode/choice/division.py) rests on these figures. Images are made from photographs:
short side 256, as they are, and mosaics of 4 and 16, which have the detail of large photographs; quality 90, with restart
markers. Figures are processor time of one thread, so that other programs matter little: the median of the rounds, each with
other random resized crops.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tagmill.bench import corpora, measure
from tagmill.bench.gpu import pictures
from tagmill.bench.peers.stopwatch import SIZE
from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import choose
from tagmill.pipeline.decode.cut import cut_windows

TILE = 512  # pixels, side of an image in a mosaic
KINDS = {"short side 256": 1, "as they are": 1, "mosaics of 4": 2, "mosaics of 16": 4}  # and images in a row
MOST = 60_000_000  # pixels of all images of a kind, decoded


def stored(images: list[Image.Image], kind: str) -> list[tuple[bytes, int, int]]:
    """Returns JPEGs of a kind, with width and height."""
    side, found, pixels = KINDS[kind], list[tuple[bytes, int, int]](), 0
    for first in range(0, len(images) - side * side + 1, side * side):
        image = mosaic(images[first : first + side * side], side) if side > 1 else images[first]
        if kind == "short side 256":
            factor = corpora.SHORT_SIDE / min(image.size)
            image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BOX)
        file = io.BytesIO()
        interval = corpora.restart_interval(image.size)
        image.save(file, "JPEG", quality=corpora.QUALITY, restart_marker_blocks=interval)
        found.append((file.getvalue(), *image.size))
        pixels += image.width * image.height
        if pixels > MOST:
            break
    return found


def mosaic(images: list[Image.Image], side: int) -> Image.Image:
    """Returns `side` x `side` images as one."""
    whole = Image.new("RGB", (side * TILE, side * TILE))
    for number, image in enumerate(images):
        whole.paste(image.resize((TILE, TILE)), (TILE * (number % side), TILE * (number // side)))
    return whole


def seconds(work: Callable[[Crops], object], width: Any, height: Any, rounds: int) -> float:
    """Returns processor seconds of this process for an image, the median of some rounds after one that is not counted."""
    taken = []
    for number in range(rounds + 1):
        crops = train_crops(1, number, np.arange(len(width)), width, height)
        start = time.process_time()
        work(crops)
        taken.append((time.process_time() - start) / len(width))
    return statistics.median(taken[1:])


def measured(images: list[Image.Image], kind: str, rounds: int) -> dict[str, Any]:
    """Returns the figures of a kind. Decoding is of the same images without markers: whole, as for corpora without."""
    jpegs, *sides = zip(*stored(images, kind), strict=True)
    width, height = (np.array(side, np.int32) for side in sides)
    plain = [without_markers(jpeg) for jpeg in jpegs]
    backend = choose(LoaderConfig(backend="cpu", threads=1))
    decode = {
        name: seconds(lambda crops, given=given: backend.decode(given, crops, SIZE), width, height, rounds)  # type: ignore[misc]
        for name, given in (("decoding_ms", plain), ("decoding_with_markers_ms", list(jpegs)))
    }
    cutting = seconds(lambda crops: cut_windows(jpegs, crops), width, height, rounds)
    cuts, _ = cut_windows(jpegs, train_crops(1, 0, np.arange(len(jpegs)), width, height))
    backend.close()
    return {
        "images": len(jpegs),
        "mean_bytes": statistics.fmean(map(len, plain)),
        **{name: 1000 * value for name, value in decode.items()},
        "cutting_us": 1e6 * cutting,
        "bytes_after_cutting": sum(len(cut or b"") for cut in cuts) / sum(map(len, jpegs)),
    }


def without_markers(jpeg: bytes) -> bytes:
    """Returns the image of a JPEG encoded again, at the same quality, without restart markers."""
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(file, "JPEG", quality=corpora.QUALITY)
    return file.getvalue()


def main(arguments: list[str] | None = None) -> None:
    parser: argparse.ArgumentParser = measure.arguments(__doc__ or "")
    options = parser.parse_args(arguments)
    paths: list[Path] = pictures.found(options.images, 16 if options.quick else None)
    images = [Image.open(path).convert("RGB") for path in paths]
    rounds = 1 if options.quick else max(5, options.rounds)
    cases = {kind: measured(images, kind, rounds) for kind, side in KINDS.items() if len(images) >= side * side}
    print(f"{'':16} {'images':>7} {'bytes':>10} {'ms':>7} {'ms cut':>7} {'cut us':>7} {'bytes left':>10}")
    for kind, found in cases.items():
        figures = f"{found['images']:7} {found['mean_bytes']:10,.0f} {found['decoding_ms']:7.2f}"
        more = (
            f"{found['decoding_with_markers_ms']:7.2f} {found['cutting_us']:7.1f} {found['bytes_after_cutting']:10.2f}"
        )
        print(f"{kind:16} {figures} {more}")
    if options.out is not None:
        measure.write("host costs", cases, {}, options.out)


if __name__ == "__main__":
    main()
