"""tagmill: the loader with all its threads and a pretended decoder; `choices` names the `view` whose labels it reads,
none by default."""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.pretended import Pretended
from tagmill.pipeline import Loader, LoaderConfig, engine

decoders: list[Pretended] = []


class Backend:
    """Passes every batch to the pretended decoder; images have one pixel."""

    on_device = True

    def __init__(self, decoder: Pretended, batch: int) -> None:
        self._decoder = decoder
        self._images = torch.zeros((batch, 3, 1, 1), dtype=torch.uint8)

    def decode(self, jpegs: Any, *_: Any) -> tuple[torch.Tensor, Any]:
        self._decoder.take(len(jpegs))
        return self._images, np.zeros(len(jpegs), np.bool_)

    def wake(self) -> None:
        """Does nothing: batches are taken one by one."""

    def seconds(self) -> None:
        """Returns None: no image takes time."""

    def normalise(self, images: torch.Tensor, *_: Any) -> torch.Tensor:
        return images

    def share(self, rows: Any, work: Callable[[Any], None]) -> None:
        work(rows)

    def close(self) -> None:
        """Does nothing: no thread runs."""


def batches(options: argparse.Namespace) -> Iterator[int]:
    decoders.append(Pretended(options.rate))
    vars(engine)["choose"] = lambda config, *_: Backend(decoders[0], config.batch_size)
    config = LoaderConfig(
        view=options.choices.get("view"), batch_size=options.batch, streams=options.streams, drop_last=True
    )
    for batch in Loader(options.data, config).endless():
        yield batch.count


if __name__ == "__main__":
    stopwatch.run(batches, ("torch",), totals=lambda: decoders[0].totals())
