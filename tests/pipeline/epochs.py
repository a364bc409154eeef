"""Iterates the rest of a loader's epochs, as a trainer does: one `for` an epoch."""

from collections.abc import Iterator

from tagmill.pipeline import Batch, Loader


def batches_left(loader: Loader) -> Iterator[Batch]:
    """Yields the batches of all `config.epochs` epochs from the loader's state on."""
    assert loader.config.epochs is not None
    for _ in range(loader.own_epochs[0], loader.config.epochs):
        yield from loader
