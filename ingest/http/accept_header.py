"""The `Accept` header of image requests: only media types that this build of Pillow reads, so that no host picks another."""

from functools import cache

from PIL import features

# (Pillow feature, media type), best first; types without a feature are read by every build.
_MEDIA_TYPES = (
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
    """Returns the `Accept` header of an image request. It ends with `*/*`, as hosts send images under other types."""
    return ", ".join(
        [*(kind for feature, kind in _MEDIA_TYPES if feature is None or features.check(feature)), "*/*;q=0.1"]
    )
