"""Which kinds of pictures are asked for: those that this build of Pillow reads, so that no host picks one that it does not."""

from functools import cache

from PIL import features

# A feature of Pillow and the kind that it reads; kinds without one are read by every build. The first is the best.
_KINDS = (
    ("jpg", "image/jpeg"),
    ("zlib", "image/png"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    (None, "image/gif"),
    (None, "image/bmp"),
    (None, "image/tiff"),
)


@cache
def accept_pictures() -> str:
    """The `Accept` header of a picture's request. Hosts that send a picture under another name may still do so."""
    return ", ".join([*(kind for feature, kind in _KINDS if feature is None or features.check(feature)), "*/*;q=0.1"])
