"""Finds placeholders: images that hosts send instead of a deleted one, so that many different URLs have the same bytes.

An image with at least `placeholder_urls` URLs is a placeholder, whatever its tags. Short lists never reach that number.
There, an image is a placeholder if at least one in SHARE rows, and at least FLOOR URLs, have it, and no tag is at one
in AGREEING of these URLs: people who post the same photograph use some of the same words, but the tags of deleted
photographs have nothing in common.
"""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tagmill.ingest.engines.engine import Engine, TableSource

FLOOR = 10  # different URLs; with fewer it may be a photograph that was posted several times
SHARE = 1000  # one in so many rows of a list
AGREEING = 4  # a tag at one in so many of the URLs with tags: they show the same
CROWDS_REPORTED = 20  # images that are reported, both of those dropped because of their tags and of those kept
_MOST = 2000  # images whose tags are counted: fewer can have a thousandth of the rows each
_NO_LIMIT = 1 << 62
TAGGED = pa.schema([("row_id", pa.int64()), ("url", pa.string()), ("tags", pa.list_(pa.string()))])
_KEEPERS = pa.schema([("keeper", pa.int64())])


@dataclass(frozen=True)
class Crowd:
    """An image that many different URLs have."""

    key: str
    urls: int  # different URLs
    tagged: int  # URLs with at least one tag
    tags: int  # different tags
    commonest: int  # URLs with the most frequent tag
    left_out: bool  # whether it is dropped as a placeholder

    @property
    def disagrees(self) -> bool:
        """Whether its tags have nothing in common."""
        return self.tagged >= FLOOR and self.commonest * AGREEING < self.tagged


def find_crowds(engine: Engine, limit: int, tagged: "TableSource | None", rows: int) -> tuple[pa.Table, list[Crowd]]:
    """Returns (the placeholders as a table with the column `keeper`; the other images to report, those with most URLs first).

    The engine has the tables facts (`rows` rows), exact and known. `tagged` (TAGGED) is read only if tags decide about an
    image. `limit` is `placeholder_urls`; 0 drops nothing, but still reports. Memory holds a few thousand images at most.
    """
    least = min(FLOOR, limit) if limit else FLOOR
    large = engine.run("large", urls=least).read_all()
    if not len(large):
        return _KEEPERS.empty_table(), []
    engine.bind("large", large)
    engine.keep("crowds", "crowds", urls=least)
    placeholders = engine.run("placeholders", urls=limit or _NO_LIMIT).read_all().cast(_KEEPERS)
    top = engine.run("crowds_top", urls=limit or _NO_LIMIT, most=_MOST).read_all().to_pylist()
    doubtful = max(FLOOR, rows // SHARE)  # URLs from which on tags decide
    first = sum(row["urls"] >= doubtful for row in top)
    top = [row for row in top[: first + CROWDS_REPORTED] if row["urls"] >= FLOOR]
    found = _with_tags(engine, top, tagged, doubtful if limit else _NO_LIMIT) if top else []
    left_out = [row["keeper"] for row, crowd in zip(top, found, strict=True) if crowd.left_out]
    reported = [crowd for crowd in found if crowd.left_out][:CROWDS_REPORTED] + [
        crowd for crowd in found if not crowd.left_out
    ][:CROWDS_REPORTED]
    reported.sort(key=lambda crowd: (-crowd.urls, crowd.key))
    return pa.concat_tables([placeholders, pa.table({"keeper": left_out}, _KEEPERS)]), reported


def _with_tags(engine: Engine, top: list[dict[str, Any]], tagged: "TableSource | None", doubtful: int) -> list[Crowd]:
    engine.bind_once("tagged", TAGGED.empty_table() if tagged is None else tagged)
    engine.bind("asked", pa.table({"keeper": [row["keeper"] for row in top]}, _KEEPERS))
    engine.keep("crowd_rows", "crowd_rows")
    tags = {row["keeper"]: row for row in engine.run("crowd_tags").read_all().to_pylist()}
    none = dict.fromkeys(("tagged", "tags", "commonest"), 0)
    found = []
    for row in top:
        seen = tags.get(row["keeper"], none)
        crowd = Crowd(row["key"], row["urls"], seen["tagged"], seen["tags"], seen["commonest"], left_out=False)
        dropped = row["urls"] >= doubtful and not row["known"] and crowd.disagrees
        found.append(replace(crowd, left_out=dropped))
    return found
