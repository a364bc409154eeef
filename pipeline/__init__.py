"""The loader: streams a corpus into a trainer, shuffled, exactly once an epoch, and resumable on any number of ranks."""

from tagmill.pipeline.augment.draws import EVAL_SHARE
from tagmill.pipeline.batch import Batch, Labels, Terms
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.headroom.headroom import Headroom
from tagmill.pipeline.headroom.report import HeadroomReport
from tagmill.pipeline.images import ImageDecoder
from tagmill.pipeline.loader import Loader
from tagmill.pipeline.order.mixture import Mixture
from tagmill.pipeline.sizes import ProgressiveSize, VariedSize, parse_size

__all__ = [
    "EVAL_SHARE",
    "Batch",
    "Headroom",
    "HeadroomReport",
    "ImageDecoder",
    "Labels",
    "Loader",
    "LoaderConfig",
    "Mixture",
    "ProgressiveSize",
    "Terms",
    "VariedSize",
    "World",
    "parse_size",
]
