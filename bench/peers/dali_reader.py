"""DALI: its own webdataset reader over tagmill's tars and indexes, its graph on the CPU or a GPU, its iterator for
torch."""

import argparse
from collections.abc import Iterator

import torch
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.pytorch import DALIGenericIterator

from tagmill.bench.corpora import shards
from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.stopwatch import MEAN, SIZE, STD

BUFFER = 1024  # samples that its reader shuffles: its default
AHEAD = 2  # batches: its default


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    as_float = options.output == "float32"
    device = None if options.device == "cpu" else torch.device(options.device).index or 0

    @pipeline_def(
        batch_size=options.batch, num_threads=options.threads, device_id=device, prefetch_queue_depth=AHEAD, seed=1
    )
    def graph():  # type: ignore[no-untyped-def]
        jpegs = fn.readers.webdataset(
            paths=shards(options.data, ".tar"),
            index_paths=shards(options.data, ".idx"),
            ext=["jpg"],
            random_shuffle=True,
            initial_fill=options.shuffle or BUFFER,
            name="reader",
        )
        images = fn.decoders.image_random_crop(
            jpegs,
            device="cpu" if device is None else "mixed",
            random_area=[0.08, 1.0],
            random_aspect_ratio=[3 / 4, 4 / 3],
        )
        images = fn.resize(images, size=[SIZE, SIZE], interp_type=types.INTERP_LINEAR, antialias=True)
        mirror = fn.random.coin_flip()
        if as_float:
            return fn.crop_mirror_normalize(
                images,
                mirror=mirror,
                mean=[255 * each for each in MEAN],
                std=[255 * each for each in STD],
                dtype=types.FLOAT,
                output_layout="CHW",
            )
        return fn.flip(images, horizontal=mirror)

    for (found,) in DALIGenericIterator([graph()], ["images"], size=-1, auto_reset=False):
        yield found["images"] if as_float else found["images"].permute(0, 3, 1, 2)


if __name__ == "__main__":
    stopwatch.run(batches, ("nvidia-dali-cuda130", "torch"))
