"""The loader: streams a corpus into a trainer, shuffled, exactly once an epoch, and resumable on any number of ranks."""

from tagmill.pipeline.augment.draws import EVAL_SHARE, Crops, eval_crops, train_crops
from tagmill.pipeline.augment.squares import square_crops, whole_images
from tagmill.pipeline.batch import Batch, Labels, Mix, Terms
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.headroom.headroom import Headroom
from tagmill.pipeline.headroom.report import HeadroomReport
from tagmill.pipeline.images import ImageDecoder, Windows
from tagmill.pipeline.loader import Loader
from tagmill.pipeline.order.mixture import Mixture
from tagmill.pipeline.sizes import ProgressiveSize, VariedSize, parse_size

__all__ = [
    "EVAL_SHARE",
    "Batch",
    "Crops",
    "Headroom",
    "HeadroomReport",
    "ImageDecoder",
    "Labels",
    "Loader",
    "LoaderConfig",
    "Mix",
    "Mixture",
    "ProgressiveSize",
    "Terms",
    "VariedSize",
    "Windows",
    "World",
    "eval_crops",
    "parse_size",
    "square_crops",
    "train_crops",
    "whole_images",
]
