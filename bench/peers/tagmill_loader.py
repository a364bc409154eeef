"""tagmill: the loader by its public interface, with only the corpus, the batch and the threads configured."""

import argparse
from collections.abc import Iterator

import torch

from tagmill.bench.peers import stopwatch
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.pipeline.decoding import Decoding

WAITED = "decoder waited for reads"  # of the loader's meters
opened: list[Loader] = []


def batches(options: argparse.Namespace) -> Iterator[torch.Tensor]:
    config = LoaderConfig(
        view=None,
        batch_size=options.batch,
        size=stopwatch.SIZE,
        output=options.output,
        threads=options.threads,
        backend=options.backend,
        streams=options.streams,
        device=options.device,
        decoding=Decoding(**options.decoding),
        drop_last=True,  # so that every measured batch is full
    )
    opened.append(Loader(options.data, config))
    for batch in opened[0].endless():
        yield batch.images


def totals() -> dict[str, float]:
    meters = opened[0].meters.as_dict()
    return {"decoder_waited_seconds": meters["seconds"][WAITED], "holes": sum(meters["holes"].values())}


if __name__ == "__main__":
    stopwatch.run(batches, ("torch", "nvidia-dali-cuda130"), totals=totals)
