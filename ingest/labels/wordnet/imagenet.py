"""The classes of ImageNet by synset id, from the file that `compile_imagenet.py` makes."""

import functools
import io
import zipfile
from importlib.resources import files

import numpy as np

from tagmill.shards.errors import TagmillError

IMAGENET_FILE = "imagenet.npz"
CLASSES = {"in1k": 1_000, "in21k": 21_841}


@functools.cache
def imagenet(name: str) -> tuple[str, ...]:
    """Returns the synsets of `in1k` or `in21k` in class order. Raises TagmillError for another name."""
    if name not in CLASSES:
        raise TagmillError(f"no list of classes {name!r}", remedy=f"give one of {', '.join(CLASSES)}")
    try:
        packed = files("tagmill.ingest.labels.wordnet").joinpath(IMAGENET_FILE).read_bytes()
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            offsets: list[int] = archive[name].tolist()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        what = f"ImageNet's classes cannot be read: {error}"
        raise TagmillError(what, IMAGENET_FILE, "install tagmill again") from error
    return tuple(f"n{offset:08d}" for offset in offsets)
