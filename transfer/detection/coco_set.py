"""Sets in COCO's format: a JSON file of images, boxes and masks, and a folder of images, on any store."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

from tagmill.shards import InputError
from tagmill.shards.storage.store import Store
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.detection.run_length import MaskError, run_lengths
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.set_files import SetFiles, folder_and_name, read_bounded, set_name
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, digest_of

MOST_JSON_BYTES = 2 << 30  # COCO's largest file has 0.45 GB
MOST_IMAGE_SIDE = 30_000  # pixels
_LISTS = ("images", "annotations", "categories")
_REMEDY = "give annotations in COCO's format, such as instances_train2017.json"


class Instance(NamedTuple):
    """An object in an image, or a crowd of them."""

    label: int  # place in the classes of the set
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels, inside the image, of some area
    area: float  # pixels, as the file says; COCO divides objects into small, medium and large by it
    crowd: bool
    runs: bytes | None  # compressed run lengths of the mask; None where masks were not asked for


class ImageFacts(NamedTuple):
    """What the JSON file says of an image."""

    width: int
    height: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class CocoSet:
    """Images with boxes, in the order of the file."""

    stored: StoredSet  # bytes, keys (file names) and digest; an example's labels are the classes in the image
    images: Sequence[ImageFacts]
    masks: bool  # whether every instance has a mask
    skipped: Mapping[str, int]  # annotations left out, by reason

    def __len__(self) -> int:
        return len(self.images)


def open_coco(annotations: str, images: str, *, masks: bool) -> CocoSet:
    """Reads a set. `annotations`: path or URL of the JSON file; `images`: folder or prefix of its images; `masks`: read
    masks too, without which an annotation is left out then.

    Annotations that are not valid are left out and counted by reason; boxes are cut at the edges of the image. Raises
    InputError for a file that is not in COCO's format, has no images, or two of one id or name.
    """
    folder, name = folder_and_name(annotations)
    store, where = Store(folder), annotations
    content = _content(read_bounded(store, name, MOST_JSON_BYTES), where)
    places, classes = _categories(content["categories"], where)
    rows = _image_rows(content["images"], where)
    instances, skipped = _instances(content["annotations"], {key: row[1:] for key, row in rows.items()}, places, masks)
    files = SetFiles.below(images)
    examples = [
        Example(row[0], tuple(sorted({each.label for each in instances.get(key, ())}))) for key, row in rows.items()
    ]
    kept = [StoredImage(row[0], files.sizes.get(row[0])) for row in rows.values()]
    facts = [ImageFacts(row[1], row[2], tuple(instances.get(key, ()))) for key, row in rows.items()]
    digest = digest_of(classes, examples, (f"{image.size} {fact}" for image, fact in zip(kept, facts, strict=True)))
    stored = StoredSet(set_name(annotations, None), images, classes, examples, digest, files.store, kept)
    return CocoSet(stored, facts, masks, dict(sorted(skipped.items())))


def _content(data: bytes, where: str) -> dict[str, list[Any]]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {str(error)[:120] or type(error).__name__}", where, _REMEDY) from error
    if not isinstance(content, dict):
        raise InputError("not a JSON object", where, _REMEDY)
    for name in _LISTS:
        rows = content.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"{name} is not a list of objects", where, _REMEDY)
        if not rows and name != "annotations":
            raise InputError(f"no {name}", where, _REMEDY)
    return content


def _categories(rows: list[dict[str, Any]], where: str) -> tuple[dict[int, int], tuple[SetClass, ...]]:
    """Returns the place of each category's id, which need not be consecutive, and the classes."""
    places, classes = dict[int, int](), list[SetClass]()
    for row in sorted(rows, key=lambda row: row["id"] if _whole(row.get("id")) else -1):
        number, name, synset = row.get("id"), row.get("name"), row.get("synset")
        if not _whole(number) or not isinstance(name, str) or not name:
            raise InputError("a category without a whole number as id, and a name", where, _REMEDY)
        if number in places or any(each.name == name for each in classes):
            raise InputError(f"two categories of one id or name: {safe_text(name, 80)}", where, _REMEDY)
        places[number] = len(classes)
        classes.append(SetClass(name, synset if isinstance(synset, str) else None))
    return places, tuple(classes)


def _image_rows(rows: list[dict[str, Any]], where: str) -> dict[int, tuple[str, int, int]]:
    """Returns (file name, width, height) by id."""
    found, names = dict[int, tuple[str, int, int]](), set[str]()
    for row in rows:
        number, name, width, height = (row.get(key) for key in ("id", "file_name", "width", "height"))
        if not _whole(number) or not isinstance(name, str) or not _is_relative(name):
            what = f"an image without a whole number as id, and a name below the folder: {safe_text(repr(name), 80)}"
            raise InputError(what, where, _REMEDY)
        if not (_is_side(width) and _is_side(height)):
            what = f"image {safe_text(name, 80)} has no width and height of 1 to {MOST_IMAGE_SIDE:,} pixels"
            raise InputError(what, where, _REMEDY)
        if number in found or name in names:
            raise InputError(f"two images of one id or name: {safe_text(name, 80)}", where, _REMEDY)
        found[number] = (name, width, height)
        names.add(name)
    return found


def _is_side(value: object) -> TypeGuard[int]:
    return _whole(value) and 0 < value <= MOST_IMAGE_SIDE


def _is_relative(name: str) -> bool:
    return bool(name) and name.isprintable() and not name.startswith("/") and ".." not in name.split("/")


def _instances(
    rows: list[dict[str, Any]], sizes: Mapping[int, tuple[int, int]], places: Mapping[int, int], masks: bool
) -> tuple[dict[int, list[Instance]], Counter[str]]:
    found, skipped, seen = dict[int, list[Instance]](), Counter[str](), set[int]()
    for row, image, number in _identified(rows):
        if number in seen:
            skipped["an id of another annotation"] += 1
        elif image not in sizes:
            skipped["of no image in the file"] += 1
        else:
            seen.add(number)
            made = _instance(row, *sizes[image], places, masks)
            if isinstance(made, str):
                skipped[made] += 1
            else:
                found.setdefault(image, []).append(made)
    return found, skipped


def _identified(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yields (annotation, id of its image, own id); without a whole number, the image is -1 and the id is below it."""
    for place, row in enumerate(rows):
        image, number = row.get("image_id"), row.get("id")
        yield row, (image if _whole(image) else -1), (number if _whole(number) else -2 - place)


def _instance(
    row: Mapping[str, Any], width: int, height: int, places: Mapping[int, int], masks: bool
) -> Instance | str:
    """Returns an annotation, or the reason why it is left out."""
    category, crowd, area = row.get("category_id"), row.get("iscrowd", 0), row.get("area")
    if not _whole(category) or category not in places:
        return "of no category in the file"
    if crowd not in (0, 1):
        return "iscrowd is not 0 or 1"
    box = _box(row.get("bbox"), width, height)
    if isinstance(box, str):
        return box
    if area is None:
        area = (box[2] - box[0]) * (box[3] - box[1])
    if not _finite(area) or area < 0:
        return "an area that is not a number of 0 or more"
    try:
        runs = run_lengths(row.get("segmentation"), height, width) if masks else None
    except MaskError as error:
        return str(error)
    return Instance(places[category], box, float(area), bool(crowd), runs)


def _box(box: object, width: int, height: int) -> tuple[float, float, float, float] | str:
    """Returns left, top, right, bottom inside the image from COCO's left, top, width, height, or a reason."""
    if not isinstance(box, list) or len(box) != 4 or not all(_finite(value) for value in box):
        return "a box that is not four numbers"
    left, top, across, down = map(float, box)
    if across <= 0 or down <= 0:
        return "a box without area"
    cut = max(0.0, left), max(0.0, top), min(float(width), left + across), min(float(height), top + down)
    # The smallest side that float32 still keeps apart at these sizes.
    return cut if cut[2] - cut[0] >= 1e-2 and cut[3] - cut[1] >= 1e-2 else "a box outside the image, or too thin"


def _whole(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 63


def _finite(value: object) -> TypeGuard[float]:
    return (type(value) is int and abs(value) < 1 << 53) or (type(value) is float and math.isfinite(value))
