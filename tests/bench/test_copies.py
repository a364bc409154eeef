"""Tests the benchmark of copies on drawn images: its columns agree with each other, and its changes are as described."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import copies, measure

PICTURES = 6


def drawn(number: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    """Returns soft blots, unlike those of all other numbers."""
    coarse = np.random.default_rng(number).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes six images; one that ingest rejects, and one that nearly equals the first."""
    place = tmp_path_factory.mktemp("pictures")
    for number in range(PICTURES):
        drawn(number).save(place / f"{number}.jpg", quality=92)
    (place / "broken.jpg").write_bytes((place / "0.jpg").read_bytes()[:300])
    drawn(0, (200, 150)).save(place / "twin.jpg", quality=60)
    return place


def test_every_kind_is_reported_and_no_search_exceeds_the_complete_one(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(measure.ROOT / "bench" / "copies.py"), "--images", str(folder)]
    subprocess.run([*command, "--out", str(tmp_path / "out.json")], check=True, capture_output=True)
    cases = json.loads((tmp_path / "out.json").read_text())["cases"]
    others = cases.pop("different photographs")
    assert list(cases) == list(copies.CHANGES)
    for case in cases.values():
        assert case["low_quality"] == 0
        assert case["found_large"] <= case["within"] == case["found_complete"]
        assert case["found_small"] <= case["within"] and case["predicted_large"] <= case["within"]
        assert 0 <= case["median_distance"] <= 256 and (case["within"] < 0.5) == (case["median_distance"] > 31)
    assert cases["JPEG quality 95"]["found_large"] == 1 and cases["mirrored"]["within"] == 0
    assert others["photographs"] == PICTURES + 1
    assert others["within_originals"] == others["found_complete_originals"] == 1  # the near copy
    assert {tuple(sorted(pair)) for pair in others["named"]} == {("0.jpg", "twin.jpg")}


def test_tables_and_complete_comparison_agree_if_all_bit_patterns_are_tried(folder: Path, tmp_path: Path) -> None:
    """With one bit a table and 64 tables nearly every pair meets: all pairs are found, equal hashes included."""
    made = copies.fingerprinted([folder / "0.jpg", folder / "0.jpg", folder / "3.jpg"])
    hashes = made.hash_file(tmp_path / "hashes")
    found = copies.by_tables(hashes, copies.NearRules(bits=1, tables=64, bucket=1000), tmp_path / "spool")
    assert found == copies.exhaustive(made.pdq, 31) and (0, 1) in found


def test_changes_are_as_described() -> None:
    image = drawn(1)
    shapes = {kind: change(image).size for kind, (change, _) in copies.CHANGES.items()}
    assert {kind: size for kind, size in shapes.items() if size != image.size} == {
        "resized 0.4x": (96, 72),
        "resized 0.7x": (168, 126),
        "resized 1.6x": (384, 288),
        "cropped by 2 %": (236, 176),
        "bar of text below it": (240, 194),
    }
    before, over = np.asarray(image), np.asarray(copies.barred(image))
    assert np.array_equal(before[:150], over[:150]) and (over[168:] == 255).mean() > 0.3
    assert before.tobytes() == np.asarray(image).tobytes()  # the original is not modified


def test_rotated_images_are_changed_upright() -> None:
    """Otherwise each copy of a photograph from a phone would be rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    sink = io.BytesIO()
    drawn(2).save(sink, "JPEG", exif=exif.tobytes())
    first, second, *_ = copies.versions(sink.getvalue())
    assert first == sink.getvalue() and Image.open(io.BytesIO(second)).size == (180, 240)
