"""SPDL: its pipeline of threads; FFmpeg decodes, crops, scales and flips in one filter, and a batch is one buffer."""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spdl.io
import spdl.io.utils
import torch
from spdl.pipeline import PipelineBuilder
from torchvision.transforms import RandomResizedCrop

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.stopwatch import MEAN, SIZE, STD

AHEAD = 2  # batches
# swscale's bilinear filter widens with the reduction, as an antialiased one does.
SCALE = f"scale={SIZE}:{SIZE}:flags=bilinear"


def shuffled(folder: str) -> Iterator[str]:
    paths = [str(path) for path in sorted(Path(folder).rglob("*.jpg"))]
    while True:
        yield from random.sample(paths, len(paths))


def decode(path: str) -> Any:
    packets = spdl.io.demux_image(path)
    shape = torch.empty(3, packets.codec.height, packets.codec.width, device="meta")
    top, left, height, width = RandomResizedCrop.get_params(shape, [0.08, 1.0], [3 / 4, 4 / 3])
    flip = "hflip," if random.random() < 0.5 else ""
    crop = f"crop={width}:{height}:{left}:{top}:exact=1"
    return spdl.io.decode_packets(packets, filter_desc=f"{crop},{SCALE},{flip}format=pix_fmts=rgb24")


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    # raises an error without FFmpeg, which the pipeline would only log, without end
    spdl.io.utils.get_ffmpeg_versions()
    torch.set_num_threads(1)
    mean = 255 * torch.tensor(MEAN).view(1, 3, 1, 1)
    factor = 1 / (255 * torch.tensor(STD)).view(1, 3, 1, 1)

    def finish(frames: list[Any]) -> torch.Tensor:
        images: torch.Tensor = spdl.io.to_torch(spdl.io.convert_frames(frames)).permute(0, 3, 1, 2)
        return images if options.output == "uint8" else images.float().sub_(mean).mul_(factor)

    builder = PipelineBuilder().add_source(shuffled(options.data)).pipe(decode, concurrency=options.threads)
    builder = builder.aggregate(options.batch, drop_last=True).pipe(finish).add_sink(AHEAD)
    pipeline = builder.build(num_threads=options.threads)
    with pipeline.auto_stop():
        yield from pipeline


if __name__ == "__main__":
    stopwatch.run(batches, ("spdl", "torch"))
