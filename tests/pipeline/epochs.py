"""Goes through what is left of a loader's epochs, as a trainer does: one `for` an epoch."""

from collections.abc import Iterator

from tagmill.pipeline import Batch, Loader


def batches_left(loader: Loader) -> Iterator[Batch]:
    """The batches of all epochs from the loader's state on, of which there are `config.epochs`."""
    assert loader.config.epochs is not None
    for _ in range(loader.own_epochs[0], loader.config.epochs):
        yield from loader
