"""A small set in COCO's format with known boxes, for the tests of detection."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(width: int, height: int, kind: str = "PNG", **options: object) -> bytes:
    """An encoded image whose red is the column and whose green is the row."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 3 % 256, y * 3 % 256, np.full_like(x, 90)], 2).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


def content(**changed: Any) -> dict[str, Any]:
    """Two images of 40 x 30 and 20 x 20 pixels. Ids of categories have gaps, as COCO's. Image 7 has a box with a polygon and a
    crowd; image 9 is empty."""
    return {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 9, "file_name": "b.png", "width": 20, "height": 20},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car", "synset": "n02958343"}],
        "annotations": [
            annotation(1, [4.5, 6.0, 10.0, 8.0], segmentation=[[4.5, 6, 14.5, 6, 14.5, 14, 4.5, 14]], area=77.5),
            annotation(
                2,
                [20, 10, 3, 4],
                category_id=18,
                iscrowd=1,
                area=12,
                segmentation={"size": [30, 40], "counts": [610, 4, 26, 4, 26, 4, 526]},
            ),
        ],
        **changed,
    }


def annotation(number: int, box: Any, **changed: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 7, "category_id": 3, "bbox": box, "iscrowd": 0, **changed}


def write_set(folder: Path, made: Any = None) -> tuple[str, str]:
    """Writes the set, and returns the addresses of its file and its images."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "a.png").write_bytes(picture(40, 30))
    (images / "b.png").write_bytes(picture(20, 20))
    file = folder / "instances.json"
    file.write_text(made if isinstance(made, str) else json.dumps(content() if made is None else made))
    return str(file), str(images)
