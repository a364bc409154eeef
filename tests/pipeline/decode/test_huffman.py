"""Tests that our own decoding of Huffman codes gives libjpeg's pixels for every JPEG, also for damaged ones."""

import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tagmill.pipeline.decode import libjpeg

ROOT = Path(__file__).resolve().parents[3]
COMPILED = pytest.mark.skipif(not libjpeg.libjpeg_is_compiled(), reason="libjpeg.c was not compiled")
MUTATED = int(os.environ.get("TAGMILL_MUTATED", "0"))  # altered files; 0: a few, as in every run of the suite

LIBJPEG, OURS, ONLY_OURS = 0, 1, 2  # who decodes the codes; ONLY_OURS: without libjpeg's second try
FILLED, LOST = 0, 2
Outcome = tuple[int, npt.NDArray[np.uint8]]


def filled(jpeg: bytes, box: tuple[int, ...], size: int, ours: int, left: int = 3, compiled: Any = None) -> Outcome:
    """Fills one window; returns its outcome and its pixels."""
    pixels = np.full((1, size, size, 3), 7, np.uint8)
    facts = np.array([[0, *box, 0]], np.int32)
    fill = (compiled or libjpeg._compiled).fill
    (outcome,) = fill(pixels, size, 0, [jpeg], facts, left, (1.0,) * 3, (0.0,) * 3, True, False, ours)
    return outcome, pixels


def assert_same(jpeg: bytes, box: tuple[int, ...], size: int, left: int = 3, compiled: Any = None) -> int:
    """Compares the outcome with libjpeg's, and the pixels of a window that is filled; returns the outcome."""
    (ours, pixels), (theirs, wanted) = (filled(jpeg, box, size, who, left, compiled) for who in (OURS, LIBJPEG))
    assert ours == theirs and (ours == LOST or (pixels == wanted).all())
    return ours


def noise(width: int, height: int, seed: int, smooth: int) -> Image.Image:
    """Returns noise in squares of `smooth` pixels: the smaller they are, the more and the longer the codes."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (-(-height // smooth), -(-width // smooth), 3)).astype(np.uint8)
    return Image.fromarray(np.repeat(np.repeat(small, smooth, 0), smooth, 1)[:height, :width])


def jpeg_of(image: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    with pytest.MonkeyPatch.context() as patched:
        # Pillow lets libjpeg write a file with optimised codes at once; noise takes more than the room it leaves for that.
        patched.setattr(ImageFile, "MAXBLOCK", 1 << 22)
        image.convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@st.composite
def windows_of_pictures(draw: st.DrawFn) -> tuple[bytes, tuple[int, int, int, int]]:
    width, height = draw(st.integers(1, 200)), draw(st.integers(1, 150))
    image = noise(width, height, draw(st.integers(0, 9)), draw(st.sampled_from([1, 3, 40])))
    options: dict[str, Any] = {"quality": draw(st.sampled_from([5, 60, 95, 100])), "optimize": draw(st.booleans())}
    options |= {"subsampling": draw(st.integers(0, 2)), "restart_marker_blocks": draw(st.sampled_from([0, 1, 5]))}
    options |= {"progressive": draw(st.sampled_from([False] * 4 + [True]))}
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))
    return jpeg_of(image, draw(st.sampled_from(["RGB", "RGB", "L"])), **options), box


@COMPILED
@settings(max_examples=150)
@given(windows_of_pictures(), st.sampled_from([5, 32]), st.sampled_from([1, 3]))
def test_pixels_are_libjpegs(made: tuple[bytes, tuple[int, int, int, int]], size: int, left: int) -> None:
    """Also of windows that libjpeg shrinks."""
    assert assert_same(*made, size, left) == FILLED


@COMPILED
def test_a_scan_longer_than_the_chunk_is_read_to_its_end() -> None:
    jpeg = jpeg_of(noise(400, 300, 1, 1), quality=98)
    assert len(jpeg) > 40 * 4096
    for box in ((0, 0, 400, 300), (300, 200, 100, 100), (11, 280, 300, 20)):
        assert assert_same(jpeg, box, 64) == FILLED
        assert filled(jpeg, box, 64, ONLY_OURS)[0] == FILLED


@COMPILED
@pytest.mark.parametrize("interval", [0, 2])
def test_a_scan_that_ends_early_is_left_to_libjpeg(interval: int) -> None:
    """libjpeg makes the rest grey, and tells no one but us."""
    jpeg, box = jpeg_of(noise(200, 160, 1, 2), restart_marker_blocks=interval), (0, 0, 200, 160)
    early = jpeg[: len(jpeg) // 2] + b"\xff\xd9"
    assert filled(jpeg, box, 32, ONLY_OURS)[0] == FILLED
    assert filled(early, box, 32, ONLY_OURS)[0] == LOST, "our decoder has noticed it"
    assert assert_same(early, box, 32) == FILLED
    assert filled(early, (0, 0, 200, 20), 32, ONLY_OURS)[0] == FILLED, "what comes before it is decoded"


@COMPILED
@pytest.mark.parametrize("where", ["missing", "another", "too early"])
def test_restart_markers_out_of_order_are_left_to_libjpeg(where: str) -> None:
    jpeg, box = jpeg_of(noise(160, 160, 4, 2), restart_marker_blocks=3), (0, 0, 160, 160)
    place = jpeg.index(b"\xff\xd2")
    altered = {
        "missing": jpeg[:place] + jpeg[place + 2 :],
        "another": jpeg[:place] + b"\xff\xd5" + jpeg[place + 2 :],
        "too early": jpeg[: place - 9] + jpeg[place:],
    }[where]
    assert filled(altered, box, 32, ONLY_OURS)[0] == LOST
    assert assert_same(altered, box, 32) == FILLED


@COMPILED
def test_tables_of_the_image_before_are_not_used() -> None:
    """In one call: standard tables, those of one image, those of another, and standard ones again."""
    images = [noise(120, 90, seed, smooth) for seed, smooth in ((1, 3), (2, 30), (3, 1))]
    jpegs = [jpeg_of(image, optimize=kind) for image, kind in zip(images, (False, True, True), strict=True)]
    order = [jpegs[0], jpegs[1], jpegs[2], jpegs[1][:900], jpegs[0], jpegs[2]]
    facts = np.array([[row, 3, 5, 100, 80, 0] for row in range(len(order))], np.int32)
    found = []
    for who in (OURS, LIBJPEG):
        pixels = np.zeros((len(order), 24, 24, 3), np.uint8)
        found.append(
            (libjpeg._compiled.fill(pixels, 24, 0, order, facts, 3, (1.0,) * 3, (0.0,) * 3, True, False, who), pixels)
        )
    assert found[0][0] == found[1][0] and found[0][0].count(LOST) == 1
    assert (found[0][1] == found[1][1]).all()


def altered_files(count: int, compiled: Any) -> dict[int, int]:
    """Compares outcomes and pixels of altered files; returns how many there were of each outcome."""
    kinds: list[dict[str, Any]] = [
        {},
        {"restart_marker_blocks": 3},
        {"optimize": True, "subsampling": 0},
        {"mode": "L"},
    ]
    sources = [jpeg_of(noise(90, 70, 5, 2), **kind) for kind in kinds]
    draw, outcomes = np.random.default_rng(7), {FILLED: 0, LOST: 0}
    for number in range(count):
        jpeg = bytearray(sources[number % len(sources)])
        begin = 0 if number % 3 else jpeg.index(b"\xff\xda") + 10  # most alterations are in the scan
        for _ in range(draw.integers(1, 5)):
            jpeg[draw.integers(begin, len(jpeg))] = draw.choice([draw.integers(0, 256), 0xFF, 0])
        if number % 5 == 0:
            del jpeg[draw.integers(begin, len(jpeg)) :]
        size, left = (24, 3) if number % 2 else (5, 1)
        outcome = assert_same(bytes(jpeg), (9, 7, 60, 50), size, left, compiled)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


@COMPILED
def test_altered_files_have_libjpegs_outcome() -> None:
    outcomes = altered_files(1500, libjpeg._compiled)
    assert outcomes[FILLED] > 100 and outcomes[LOST] > 100, "both kinds occurred"


@COMPILED
def test_altered_files_touch_no_foreign_memory(tmp_path: Path) -> None:
    """Compiles the module with the address and the undefined-behaviour sanitizer, in a process of its own."""
    made = next(
        module
        for module in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"]
        if module["name"].endswith("._windows")
    )
    include, target = sysconfig.get_path("include"), tmp_path / "_windows.so"
    flags = ["-O1", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{include}"]
    flags += [f"-D{name}={value}" for name, value in made["define-macros"]]
    command = ["cc", *flags, *(str(ROOT / source) for source in made["sources"]), "-ljpeg", "-lm", "-o", str(target)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no compiler with sanitizers")
    library = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    code = f"from tests.pipeline.decode import test_huffman as t; t.run_sanitized({str(target)!r}, {MUTATED or 150})"
    env = {**os.environ, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert sum(outcomes.values()) == (MUTATED or 150) and outcomes[str(LOST)] > 5


def run_sanitized(module: str, count: int) -> None:
    loader = importlib.machinery.ExtensionFileLoader("_windows", module)
    spec = importlib.util.spec_from_loader("_windows", loader)
    assert spec is not None
    compiled = importlib.util.module_from_spec(spec)
    loader.exec_module(compiled)
    print(json.dumps(altered_files(count, compiled)))
