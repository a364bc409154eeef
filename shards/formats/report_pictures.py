"""The small images beside `report.json`: of rows whose images a corpus does not have, for the report page."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tagmill.shards.formats.parquet import read_table, table_bytes

REPORT_PAGE = "report.html"
REPORT_PICTURES = "report/pictures.parquet"
SELECTION_PAGES = "report/selections"  # folder of the pages of selections, VIEW-<sha12>.html each
MAX_PICTURES = 500
PICTURE_SIDE = 128  # pixels of the long side
PICTURE_BYTES = 8192  # of a JPEG, at most

# `reason` is that of a reject, or null for a sample; an image of an evaluation set has `set` and `name`, and no row.
PICTURES = pa.schema(
    [
        pa.field("reason", pa.string()),
        pa.field("row_id", pa.int64()),
        pa.field("key", pa.string()),
        pa.field("sha256", pa.string()),
        *(pa.field(f"pdq{word}", pa.int64()) for word in range(4)),
        pa.field("yields_to", pa.string()),
        pa.field("url", pa.string()),
        pa.field("set", pa.string()),
        pa.field("name", pa.string()),
        pa.field("jpeg", pa.binary(), nullable=False),
    ]
)


def pictures_bytes(rows: Iterable[dict[str, Any]]) -> bytes:
    """Returns the file of rows of PICTURES."""
    return table_bytes(list(rows), PICTURES)


def read_pictures_file(data: bytes) -> list[dict[str, Any]]:
    """Parses `pictures_bytes`. Raises ValueError, KeyError or an error of Arrow for other bytes."""
    rows: list[dict[str, Any]] = read_table(data, PICTURES.names).select(PICTURES.names).cast(PICTURES).to_pylist()
    return rows


def small_picture(jpeg: bytes) -> bytes | None:
    """Returns a JPEG of at most PICTURE_SIDE pixels a side and PICTURE_BYTES bytes; None where it cannot be decoded.

    For images that a corpus stores: these were decoded before, and their size is bounded.
    """
    from PIL import Image  # the loader, which imports this folder, does without Pillow

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            image.draft("RGB", (PICTURE_SIDE, PICTURE_SIDE))
            small = image.convert("RGB")
        small.thumbnail((PICTURE_SIDE, PICTURE_SIDE), reducing_gap=2.0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    for quality in (75, 50, 25, 5):
        file = io.BytesIO()
        small.save(file, "JPEG", quality=quality)
        if file.tell() <= PICTURE_BYTES:
            return file.getvalue()
    return None
