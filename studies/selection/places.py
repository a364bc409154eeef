"""Images of the page: those at the best, the median and the last places of a class."""

from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa

from tagmill.ingest.engines.engine import Engine
from tagmill.shards import Corpus, ShardReader, TagmillError
from tagmill.shards.formats.report_pictures import small_picture
from tagmill.studies.selection.chosen_rows import Chosen

Part = Literal["best", "median", "last"]
PARTS: tuple[Part, ...] = get_args(Part)
CLASS_PLACES = pa.schema([("label", pa.int64()), ("place", pa.int64())])
MOST_IMAGES = 400  # of a page: with 8 kB each it stays below its limit of 5 MB


@dataclass(frozen=True)
class PlacedImage:
    """An image of a class, by its place among the chosen ones, best first."""

    label: int
    part: Part
    place: int  # 1 is the best
    key: str
    score: int  # units of 2^-16
    jpeg: bytes | None  # None where the image cannot be read


def shown_order(chosen: Chosen, *, scored: bool) -> list[int]:
    """Returns the labels in the order of the page: first the classes whose last image is the most doubtful. Without scores
    those with the fewest images come first."""
    counts = chosen.counts
    return sorted(range(len(counts)), key=lambda label: (counts[label].last if scored else counts[label].images, label))


def places_of(images: int, each: int) -> dict[int, Part]:
    """Returns places among `images` images, `each` of every part if there are as many; a place is in one part."""
    middle = max(0, (images - each) // 2)
    found: dict[int, Part] = {}
    for part, first in zip(PARTS, (0, middle, max(0, images - each)), strict=True):
        for place in range(first, min(images, first + each)):
            found.setdefault(place + 1, part)
    return found


def placed_images(engine: Engine, corpus: Corpus, chosen: Chosen, each: int, *, scored: bool) -> list[PlacedImage]:
    """Reads the images that the page shows, by class in its order and then by place; at most MOST_IMAGES.

    The engine has the tables `label_rows` and `sample_locations`.
    """
    wanted: dict[int, dict[int, Part]] = {}
    room = MOST_IMAGES
    for label in shown_order(chosen, scored=scored) if each else ():
        places = places_of(chosen.counts[label].images, each)
        if len(places) > room:
            break
        room -= len(places)
        if places:
            wanted[label] = places
    if not wanted:
        return []
    rows = [(label, place) for label, places in wanted.items() for place in places]
    engine.bind("places", pa.table([[label for label, _ in rows], [place for _, place in rows]], schema=CLASS_PLACES))
    found = {(row["label"], row["place"]): row for row in engine.run("chosen_places").read_all().to_pylist()}
    entries = corpus.entries
    return [
        PlacedImage(
            *(label, wanted[label][place], place, row["key"], row["score"]),
            _small(ShardReader.of(corpus, entries[row["shard"]]), row["ordinal"]),
        )
        for label, place in rows
        if (row := found.get((label, place))) is not None
    ]


def _small(reader: ShardReader, ordinal: int) -> bytes | None:
    try:
        return small_picture(reader.picture(reader.record(ordinal)))
    except TagmillError:  # altered, or taken down meanwhile
        return None
