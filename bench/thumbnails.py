"""Makes a web of many small pictures that are all unlike each other, so that nearly every row becomes a sample."""

import io
from pathlib import Path

from tagmill.bench import corpora, measure, photographs

SIDE, QUALITY = 64, 90  # pixels, and of the JPEG: about 2 KB each
_BLOCKS = 8  # random colours of a side: a PDQ hash sees their borders
_VERSION = "1"


def prepare(count: int) -> Path:
    """Makes a folder with `count` JPEG files, once, under build/bench/; `photographs.write_list` lists them."""
    folder = measure.ROOT / "build" / "bench" / "thumbnails" / f"{_VERSION}-{count}"
    return corpora.once(folder, lambda place: _make(count, place))


def _make(count: int, folder: Path) -> None:
    for number in range(count):
        path = folder / photographs.name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(thumbnail(number))


def thumbnail(number: int) -> bytes:
    """Returns a JPEG of random colours, another for each number."""
    import numpy as np
    from PIL import Image

    colours = np.random.default_rng(number).integers(0, 256, (_BLOCKS, _BLOCKS, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
