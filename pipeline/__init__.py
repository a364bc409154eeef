"""The loader: streams a corpus into a trainer, shuffled, exactly once an epoch, and resumable on any number of ranks."""

from tagmill.pipeline.batch import Batch, Labels
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.loader import Loader

__all__ = ["Batch", "Labels", "Loader", "LoaderConfig", "World"]
