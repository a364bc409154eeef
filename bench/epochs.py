"""Measures the cost of an epoch's end: many short epochs, a `for` each, compared with one stream of the same batches.

python bench/epochs.py [--images DIR] [--rounds N] [--quick] [--epochs N] [--samples N] [--out FILE.json]

Every case is a loader of its own, from its first batch to its last. 'restarting' begins every epoch at the first batch,
as an evaluation does: it keeps the decoder, and reads nothing of another epoch ahead. 'opened again' opens a loader for
each epoch.
"""

import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from tagmill.bench import corpora, measure
from tagmill.bench.loader import BATCH, STREAMS
from tagmill.pipeline import Batch, Loader, LoaderConfig

US = "an epoch a for"


def stream(loader: Loader, epochs: int) -> Iterable[Batch]:
    return itertools.islice(loader.endless(), epochs * len(loader))


def by_epochs(loader: Loader, epochs: int) -> Iterable[Batch]:
    return itertools.chain.from_iterable(itertools.repeat(loader, epochs))


def opened_again(loader: Loader, epochs: int) -> Iterable[Batch]:
    for _ in range(epochs):
        yield from loader
        loader.close()


CASES = {
    US: (by_epochs, False),
    "one stream": (stream, False),
    "restarting": (by_epochs, True),
    "opened again": (opened_again, False),
}


def images_per_second(corpus: str, config: LoaderConfig, epochs: int, case: str) -> float:
    """Runs a case once."""
    walk, restart = CASES[case]
    with Loader(corpus, replace(config, restart=restart)) as loader:
        start = time.perf_counter()
        images = sum(batch.count for batch in walk(loader, epochs))
        return images / (time.perf_counter() - start)


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=4 * BATCH, help="of an epoch")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    samples, batch, rounds = options.samples, BATCH, options.rounds
    if options.quick:
        samples, batch, rounds = 256, 64, min(2, rounds)
    folder = corpora.prepare(measure.pictures(options.images, 32 if options.quick else None), samples)
    config = LoaderConfig(view=None, batch_size=batch, streams=STREAMS, threads=options.threads)
    run = partial(images_per_second, str(folder / "corpus"), config, options.epochs)
    runs = measure.alternate({case: partial(run, case) for case in CASES}, rounds)
    measure.conclude("epochs", "images/s", runs, US, options.out)


if __name__ == "__main__":
    main()
