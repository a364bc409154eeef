"""Makes a small set in COCO's format of the drawn concepts: images, and two files of annotations with boxes and masks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from tagmill.demo import shapes_food, shapes_made, shapes_nature, shapes_vehicles
from tagmill.demo.coco_scene import draw_coco_scene
from tagmill.demo.concepts import CONCEPTS
from tagmill.demo.encode import jpeg
from tagmill.demo.made_folder import cleared, finished, put_json
from tagmill.demo.plant import COCO_STREAM, generator
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.protocol import Progress, Silent

COCO_VERSION = 1
"""Version of the drawings: a folder made by another version is made again."""

COCO_STAMP = "demo-coco.json"
LEAST_SIDE = 32
_OURS = ("annotations", "train", "val", COCO_STAMP)
_CHUNK = 25
_PARTS = ("train", "val")
_NUMBERS = {concept.name: number for number, concept in enumerate(CONCEPTS, 1)}
_KINDS = {"food": shapes_food, "nature": shapes_nature, "made": shapes_made, "vehicle": shapes_vehicles}

_Task = tuple[str, int, int, int, int]
"""Part of the set, number of the image in all, seed, side, number of concepts."""
_Row = dict[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoSummary:
    """The content of a made set."""

    folder: Path
    train: int
    val: int
    """Images of each part."""
    made: bool
    """False if the folder already contained this very set."""


def make_coco(
    folder: Path | str,
    *,
    seed: int = 20180802,
    train: int = 1000,
    val: int = 200,
    side: int = 128,
    concepts: int = len(CONCEPTS),
    processes: int = 1,
    progress: Progress | None = None,
) -> CocoSummary:
    """Makes the set in a folder, or finds it there: `train/`, `val/`, `annotations/instances_{train,val}.json`.

    `side` is the long side of the images in pixels; objects are of the first `concepts` of `CONCEPTS`. Masks of single
    objects are compressed RLE, those of crowds uncompressed RLE, as in COCO. The bytes depend on the arguments but
    `processes`, and on Pillow. Raises ConfigError for invalid numbers, or for a folder with foreign files.
    """
    if min(train, val) < 1 or side < LEAST_SIDE or seed < 0:
        what = f"no COCO set of {train} and {val} images of {side} pixels with seed {seed}"
        raise ConfigError(what, folder, f"give at least 1 image each, {LEAST_SIDE} pixels and a seed of 0 or more")
    if not 1 <= concepts <= len(CONCEPTS):
        raise ConfigError(f"no COCO set of {concepts} concepts", folder, f"give 1 to {len(CONCEPTS)}")
    folder = Path(folder)
    stamp = {"version": COCO_VERSION, "seed": seed, "train": train, "val": val, "side": side, "concepts": concepts}
    made = not finished(folder / COCO_STAMP, stamp)
    if made:
        cleared(folder, COCO_STAMP, stamp, _OURS)
        for part in ("annotations", *_PARTS):
            (folder / part).mkdir()
        counts = {"train": train, "val": val}
        _write(folder, seed, counts, side, concepts, processes, progress or Silent())
        put_json(folder / COCO_STAMP, {**stamp, "finished": True})
    return CocoSummary(folder=folder, train=train, val=val, made=made)


def _write(
    folder: Path, seed: int, counts: dict[str, int], side: int, concepts: int, processes: int, progress: Progress
) -> None:
    progress.stage("draw", sum(counts.values()))
    first = 0
    for part, count in counts.items():
        numbers = range(first + 1, first + count + 1)
        tasks: list[_Task] = [(part, number, seed, side, concepts) for number in numbers]
        images, annotations = list[_Row](), list[_Row]()
        for rows in _drawn(folder, tasks, processes):
            for image, things in rows:
                images.append(image)
                annotations += [{"id": len(annotations) + n, **thing} for n, thing in enumerate(things, 1)]
            progress.advance(len(rows))
        put_json(
            folder / "annotations" / f"instances_{part}.json",
            {
                "info": {"description": "Drawn concepts", "version": str(COCO_VERSION)},
                "licenses": [],
                "images": images,
                "annotations": annotations,
                "categories": _categories(concepts),
            },
        )
        first += count


def _categories(concepts: int) -> list[_Row]:
    kinds = {name: kind for kind, shapes in _KINDS.items() for name in shapes.DRAWN}
    return [
        {"id": _NUMBERS[each.name], "name": each.name, "supercategory": kinds[each.name], "synset": each.synset}
        for each in CONCEPTS[:concepts]
    ]


def _drawn(folder: Path, tasks: list[_Task], processes: int) -> Iterator[list[tuple[_Row, list[_Row]]]]:
    """Draws the images, in this process or in several, and yields their rows of JSON in order."""
    chunks = [tasks[first : first + _CHUNK] for first in range(0, len(tasks), _CHUNK)]
    if processes <= 1:
        yield from (_draw_chunk(folder, chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_draw_chunk, [folder] * len(chunks), chunks)


def _draw_chunk(folder: Path, chunk: list[_Task]) -> list[tuple[_Row, list[_Row]]]:
    found = list[tuple[_Row, list[_Row]]]()
    for part, number, seed, side, concepts in chunk:
        rng = generator(seed, number, COCO_STREAM)
        scene = draw_coco_scene(rng, side, concepts)
        name = f"{number:012}.jpg"
        (folder / part / name).write_bytes(jpeg(scene.image, rng))
        image: _Row = {"id": number, "file_name": name, "width": scene.image.width, "height": scene.image.height}
        things = [annotation_of(each.mask, each.crowd, number, _NUMBERS[each.concept]) for each in scene.things]
        found.append((image, things))
    return found


def annotation_of(mask: NDArray[np.bool_], crowd: bool, image: int, category: int) -> dict[str, object]:
    """Returns an annotation of a mask, [height, width] and not empty, without its id. The box is x, y, width, height."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    if crowd:
        counts: object = _runs(mask)
    else:
        counts = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode("ascii")
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [float(value) for value in box],
        "area": float(mask.sum()),
        "segmentation": {"size": [mask.shape[0], mask.shape[1]], "counts": counts},
        "iscrowd": int(crowd),
    }


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """Returns the lengths of runs of equal pixels, column by column, the first of pixels outside."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]).tolist()
    return [0, *runs] if flat[0] else list(runs)
