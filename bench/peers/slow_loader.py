"""tagmill: the loader with all its threads and a pretended decoder, of which some images take long. `choices` names the
`cost` of an image in seconds, whether slow ones are `clumped`, and the number of decoding `threads`."""

import argparse
from collections.abc import Iterator

from tagmill.bench.peers import stopwatch
from tagmill.bench.peers.slow_decoder import SlowDecoder
from tagmill.pipeline import Loader, LoaderConfig, engine
from tagmill.pipeline.decode.cpu import CpuBackend

decoders: list[SlowDecoder] = []


def batches(options: argparse.Namespace) -> Iterator[int]:
    choices = options.choices
    decoders.append(SlowDecoder(choices["cost"], clumped=choices["clumped"]))
    vars(engine)["choose"] = lambda *_: CpuBackend(choices["threads"], decoders[0].fill)
    config = LoaderConfig(
        view=None, batch_size=options.batch, streams=options.streams, size=8, threads=choices["threads"], drop_last=True
    )
    for batch in Loader(options.data, config).endless():
        yield batch.count


if __name__ == "__main__":
    stopwatch.run(batches, ("torch",), totals=lambda: decoders[0].totals())
