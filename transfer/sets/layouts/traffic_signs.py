"""Reads GTSRB: training images in folders, test images in a list; all are PPM files."""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from PIL import Image

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import BRING, ListedImage, file_url, list_lines, listed_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_TRAINING, _TEST, _LIST = "GTSRB/Training", "GTSRB/Final_Test/Images", "GT-final_test.csv"
_CLASSES = [f"{number:05d}" for number in range(43)]  # names of the folders
_COLUMNS = ("Filename", "ClassId")
_BLANK = rb"(?:\s|#[^\n]*\n)+"
_HEAD = re.compile(rb"P6" + rb"(\d{1,5})".join([_BLANK] * 3) + rb"255\s")  # width, height, largest value


@dataclass(frozen=True)
class PpmSet(StoredSet):
    """A set of PPM files, which become PNG bytes without loss: no program of the web shows PPM."""

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the images as PNG files; one that is no PPM file of colours as it is."""
        return [None if data is None else _as_png(data) for data in super().read(places)]


def _as_png(data: bytes) -> bytes:
    head = _HEAD.match(data)
    if head is None:
        return data
    width, height, start = int(head[1]), int(head[2]), head.end()
    pixels = data[start : start + width * height * 3]
    if not width * height or len(pixels) < width * height * 3:
        return data
    sink = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def traffic_sign_set(kind: str, files: SetFiles, split: str | None) -> PpmSet:
    """Returns a part of the set, train or test. Classes are the 43 folders of the training images. Training images of one
    sign, which its maker drove past, are a group."""
    has = {"train": bool(files.within(_TRAINING).sizes), "test": _LIST in files.sizes}
    parts = chosen_parts(split, [part for part, there in has.items() if there], files.store.url)
    rows = [row for part in parts for row in (_training if part == "train" else _test)(files)]
    found = listed_set(part_name(kind, parts), files, _CLASSES, rows)
    return PpmSet(**{each.name: getattr(found, each.name) for each in fields(found)})


def _training(files: SetFiles) -> Iterator[ListedImage]:
    for path in files.within(_TRAINING).in_order:
        folder, _, name = path.partition("/")
        if name.lower().endswith(".ppm"):
            track = name.partition("_")[0]
            where = file_url(files, f"{_TRAINING}/{path}")
            yield ListedImage(f"{_TRAINING}/{path}", folder, where, f"{folder}/{track}")


def _test(files: SetFiles) -> Iterator[ListedImage]:
    places = list[int]()
    for line, where in list_lines(files, _LIST):
        cells = [cell.strip() for cell in line.split(";")]
        if not places:
            if not set(_COLUMNS) <= set(cells):
                what = f"no columns {' and '.join(_COLUMNS)} in {safe_text(line, 80)!r}"
                raise InputError(what, where, f"give the list with classes; {BRING}")
            places = [cells.index(column) for column in _COLUMNS]
            continue
        if len(cells) <= max(places):
            raise InputError(f"a row of {len(cells)} cells", where, BRING)
        image, label = (cells[place] for place in places)
        yield ListedImage(f"{_TEST}/{image}", label.zfill(5), where)


TRAFFIC_SIGNS = Layout(("gtsrb",), (f"{_TRAINING}/", _LIST), traffic_sign_set)
