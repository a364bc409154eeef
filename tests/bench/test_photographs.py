"""Tests that copies differ in bytes and agree in pixels, and that the list names each of them."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.bench import measure, photographs


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG")
    return sink.getvalue()


def test_copies_are_complete_and_all_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    sources = []
    for number in range(3):
        sources.append(tmp_path / f"{number}.jpg")
        sources[-1].write_bytes(jpeg(number))
    folder = photographs.prepare(sources, 1100)
    assert photographs.prepare(sources, 1100) == folder
    bodies = [(folder / photographs.name_of(number)).read_bytes() for number in range(1100)]
    assert len(set(bodies)) == 1100 and len(list(folder.rglob("*.jpg"))) == 1100
    for number in (0, 1, 2, 3, 999, 1000, 1099):
        with Image.open(io.BytesIO(bodies[number])) as image, Image.open(sources[number % 3]) as source:
            assert image.info["comment"] == b"copy %d" % number
            assert np.array_equal(np.asarray(image), np.asarray(source))


def test_the_list_has_every_copy_once(tmp_path: Path) -> None:
    photographs.write_list(tmp_path / "list.parquet", "http://127.0.0.1:1", 1001)
    table = pq.read_table(tmp_path / "list.parquet")
    assert table.column_names == ["url", "tags", "caption"]
    names = [f"http://127.0.0.1:1/{photographs.name_of(number)}" for number in range(1001)]
    assert table["url"].to_pylist() == names and len(set(names)) == 1001
    assert table["caption"].to_pylist() == [" ".join(tags) for tags in table["tags"].to_pylist()]
