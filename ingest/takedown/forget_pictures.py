"""Removes what the report shows of images that are taken down: their small images, and the page that was made of them."""

import pyarrow as pa

from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.shards.formats.report_pictures import (
    REPORT_PAGE,
    REPORT_PICTURES,
    SELECTION_PAGES,
    pictures_bytes,
    read_pictures_file,
)
from tagmill.shards.storage.store import Store


def forget_pictures(store: Store, denied: Denylist) -> int:
    """Deletes `report.html` and the pages of selections, which can be made again, and the small images that rules forbid;
    returns how many these were.

    A file of small images that cannot be read is deleted as a whole.
    """
    store.delete(REPORT_PAGE)
    for name in store.names(SELECTION_PAGES):
        store.delete(name)
    try:
        rows = read_pictures_file(store.read(REPORT_PICTURES))
    except FileNotFoundError:
        return 0
    except (pa.ArrowException, ValueError, KeyError):
        store.delete(REPORT_PICTURES)
        return 0
    kept = [row for row in rows if not denied.picture(row)]
    if len(kept) < len(rows):
        store.put(REPORT_PICTURES, pictures_bytes(kept))
    return len(rows) - len(kept)
