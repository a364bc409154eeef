"""Pictures that came back for many different URLs: placeholders, which hosts send in place of what is gone, and the others.

A picture with `placeholder_urls` URLs is a placeholder whatever its tags. A short list never has so many: there a picture is
one that came from a thousandth of the rows, at least FLOOR URLs, with tags that have nothing in common, as no tag is at a
quarter of the URLs. People who post the same photograph share some of their words; those whose photographs are gone do not.
"""

from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tagmill.ingest.engines.engine import Engine, TableSource

FLOOR = 10  # different URLs: fewer say nothing, as photographs are posted again and again
SHARE = 1000  # one in so many rows of a list
AGREEING = 4  # a tag at one in so many of the URLs with tags says that they show the same
CROWDS_REPORTED = 20  # pictures that are reported, of those that are left out by their tags and of those that stay
_MOST = 2000  # pictures that may be judged by their tags: more cannot have a thousandth of the rows each
_NO_LIMIT = 1 << 62
TAGGED = pa.schema([("row_id", pa.int64()), ("url", pa.string()), ("tags", pa.list_(pa.string()))])
_KEEPERS = pa.schema([("keeper", pa.int64())])


@dataclass(frozen=True)
class Crowd:
    """A picture that came back for many different URLs."""

    key: str
    urls: int  # different ones
    tagged: int  # of these, URLs with a tag
    tags: int  # different ones
    commonest: int  # URLs that have the tag which most of them have
    left_out: bool  # as a placeholder

    @property
    def disagrees(self) -> bool:
        """Whether its tags have nothing in common."""
        return self.tagged >= FLOOR and self.commonest * AGREEING < self.tagged


def find_crowds(engine: Engine, limit: int, tagged: "TableSource | None") -> tuple[pa.Table, list[Crowd]]:
    """(the placeholders as a table of `keeper`, what is reported of the others, those with the most URLs first).

    The engine has facts, exact and known. `tagged` (TAGGED) is read only where a picture is in question. `limit` is
    `placeholder_urls`; with 0 nothing is a placeholder, and still told of. At most a few thousand pictures are in memory.
    """
    least = min(FLOOR, limit) if limit else FLOOR
    large = engine.run("large", urls=least).read_all()
    if not len(large):
        return _KEEPERS.empty_table(), []
    engine.bind("large", large)
    engine.keep("crowds", "crowds", urls=least)
    placeholders = engine.run("placeholders", urls=limit or _NO_LIMIT).read_all().cast(_KEEPERS)
    top = engine.run("crowds_top", urls=limit or _NO_LIMIT, most=_MOST).read_all().to_pylist()
    (rows,) = engine.run("rows_total").read_all()["total"].to_pylist()
    doubtful = max(FLOOR, rows // SHARE)  # URLs from which on tags decide
    first = sum(row["urls"] >= doubtful for row in top)
    top = [row for row in top[: first + CROWDS_REPORTED] if row["urls"] >= FLOOR]
    found = _with_tags(engine, top, tagged, doubtful if limit else _NO_LIMIT) if top else []
    left_out = [row["keeper"] for row, crowd in zip(top, found, strict=True) if crowd.left_out]
    told = [crowd for crowd in found if crowd.left_out][:CROWDS_REPORTED] + [
        crowd for crowd in found if not crowd.left_out
    ][:CROWDS_REPORTED]
    told.sort(key=lambda crowd: (-crowd.urls, crowd.key))
    return pa.concat_tables([placeholders, pa.table({"keeper": left_out}, _KEEPERS)]), told


def _with_tags(engine: Engine, top: list[dict[str, Any]], tagged: "TableSource | None", doubtful: int) -> list[Crowd]:
    engine.bind("tagged", TAGGED.empty_table() if tagged is None else tagged)
    engine.bind("asked", pa.table({"keeper": [row["keeper"] for row in top]}, _KEEPERS))
    engine.keep("crowd_rows", "crowd_rows")
    tags = {row["keeper"]: row for row in engine.run("crowd_tags").read_all().to_pylist()}
    none = dict.fromkeys(("tagged", "tags", "commonest"), 0)
    found = []
    for row in top:
        seen = tags.get(row["keeper"], none)
        crowd = Crowd(row["key"], row["urls"], seen["tagged"], seen["tags"], seen["commonest"], left_out=False)
        gone = row["urls"] >= doubtful and not row["known"] and crowd.disagrees
        found.append(replace(crowd, left_out=gone))
    return found
