"""Measures what it costs and what it saves if the JPEG decoder itself shrinks a crop by 2, 4 or 8 before the filter.

python bench/shrink.py [--images DIR] [--rounds N] [--quick] [--out FILE.json]

Windows of photographs, and of mosaics of them, are filled at several ratios of the window's side to the output's. Figures:
the mean difference to the pixels of a full decode, in levels of 0..255, over all images and of the worst one; the largest
difference of a pixel; and the processor time divided by that of a full decode. LEFT_FOR_FILTER of `resize.py` is the rule
that follows: where a factor of 3 remains for the filter, the difference is small.
"""

import io
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagmill.bench import measure, mosaics
from tagmill.pipeline.decode import libjpeg
from tagmill.pipeline.decode.resize import LEFT_FOR_FILTER

RATIOS = (2, 3, 4, 5, 6, 8, 12, 16, 24)  # side of the window / side of the output
SHRINKS = (2, 4, 8)
FULL = 1 << 16  # would have to remain for the filter before the decoder shrinks
PART = 0.85  # of an image's short side, at most, is the side of its window
SIDE, COUNT = 1024, 12  # of the mosaics
LEAST = 8  # pixels of an output


def window_of(jpeg: bytes, ratio: int, number: int) -> tuple[int, list[int]]:
    """Returns the side of the output and the window, [x, y, width, height], at a place drawn from `number`."""
    with Image.open(io.BytesIO(jpeg)) as image:
        width, height = image.size
    size = int(PART * min(width, height)) // ratio
    side, draw = size * ratio, np.random.default_rng(number)
    return size, [int(draw.integers(width - side + 1)), int(draw.integers(height - side + 1)), side, side]


def filled(jpeg: bytes, size: int, window: list[int], left: int) -> tuple[npt.NDArray[np.int16], float]:
    """Returns the pixels and the seconds of processor time. At least a factor of `left` remains for the filter."""
    pixels, facts = np.empty((1, size, size, 3), np.uint8), np.array([[0, *window, 0]], np.int32)
    start = time.process_time()
    libjpeg._compiled.fill(pixels, size, 0, [jpeg], facts, left, (1.0,) * 3, (0.0,) * 3, True)
    return pixels.astype(np.int16), time.process_time() - start


def compared(jpegs: list[bytes], ratio: int, shrink: int, rounds: int) -> dict[str, object]:
    """Returns the figures of one ratio and one shrink."""
    means, largest, costs = list[float](), 0, list[float]()
    for round_number in range(rounds):
        seconds = [0.0, 0.0]
        for number, jpeg in enumerate(jpegs):
            size, window = window_of(jpeg, ratio, number)
            if size < LEAST:
                continue
            found = [filled(jpeg, size, window, left) for left in (FULL, ratio // shrink)]
            seconds = [before + took for before, (_, took) in zip(seconds, found, strict=True)]
            if round_number == 0:
                apart = np.abs(found[0][0] - found[1][0])
                means.append(float(apart.mean()))
                largest = max(largest, int(apart.max()))
        costs.append(seconds[1] / seconds[0])
    return {
        "unit": "levels",
        "median": statistics.mean(means),
        "of the worst image": max(means),
        "largest": largest,
        "processor time / full decode": statistics.median(costs),
        "rule": ratio >= shrink * LEFT_FOR_FILTER,
    }


def table(cases: dict[str, dict[str, object]]) -> Iterable[str]:
    heads = ("of the worst image", "largest", "processor time / full decode")
    yield f"{'':44}{'mean':>8}" + "".join(f"  {head:>{len(head)}}" for head in heads)
    for name, case in cases.items():
        cells = "".join(f"  {case[head]:>{len(head)}.2f}" for head in heads)
        yield f"{name:44}{case['median']:8.2f}{cells}{'  by the rule' if case['rule'] else ''}"


def main() -> None:
    options = measure.arguments(__doc__ or "").parse_args()
    if not libjpeg.libjpeg_is_compiled():
        raise SystemExit("libjpeg.c was not compiled")
    paths: list[Path] = measure.pictures(options.images, 8 if options.quick else None)
    large = mosaics.prepare(paths, SIDE, 2 if options.quick else COUNT)
    cases = {}
    for kind, files in (("photographs", paths), ("mosaics", large)):
        jpegs = [path.read_bytes() for path in files]
        for shrink in SHRINKS:
            for ratio in (ratio for ratio in RATIOS if shrink <= ratio <= 2 * LEFT_FOR_FILTER * shrink):
                rounds = min(2, options.rounds) if options.quick else options.rounds
                cases[f"{kind}, {ratio} times, shrunk by {shrink}"] = compared(jpegs, ratio, shrink, rounds)
    print("\n".join(table(cases)))
    if options.out is not None:
        measure.write("shrink", cases, {}, options.out)


if __name__ == "__main__":
    main()
