"""The limit of decoding whole images: libjpeg without a loader in as many threads, on the windows that tagmill crops,
from memory, and nothing cut; each is reduced to one pixel, at negligible cost, and not delivered."""

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import numpy.typing as npt

from tagmill.bench import corpora
from tagmill.bench.peers import stopwatch
from tagmill.pipeline.augment.draws import train_crops
from tagmill.pipeline.decode import libjpeg

WHOLE = 1 << 16  # a window would have to be that many times larger than the pixel for the decoder to shrink it
LIBJPEGS = 0  # its own decoding of Huffman codes, and not huffman.c


def batches(options: argparse.Namespace) -> Iterator[int]:
    if libjpeg._compiled is None:
        raise SystemExit("libjpeg.c was not compiled")
    pictures, width, height = corpora.in_memory(options.data)
    order = np.random.default_rng(0).permutation(len(pictures))
    pixels = np.empty((options.batch, 1, 1, 3), np.uint8)

    def decode(part: tuple[list[bytes], npt.NDArray[np.int32]]) -> None:
        libjpeg._compiled.fill(pixels, 1, 0, *part, WHOLE, (1.0,) * 3, (0.0,) * 3, True, False, LIBJPEGS)

    with ThreadPoolExecutor(options.threads) as pool:
        for number in count():
            positions = np.arange(number * options.batch, (number + 1) * options.batch)
            rows = order[positions % len(order)]
            crops = train_crops(0, 0, positions, width[rows], height[rows])
            places = np.arange(options.batch)
            facts = np.stack([places, crops.x, crops.y, crops.width, crops.height, crops.flip], -1).astype(np.int32)
            parts = [places[first :: 4 * options.threads] for first in range(4 * options.threads)]
            jpegs = [[pictures[row] for row in rows[part]] for part in parts]
            list(pool.map(decode, [(some, facts[part]) for some, part in zip(jpegs, parts, strict=True)]))
            yield options.batch


if __name__ == "__main__":
    stopwatch.run(batches, ())
