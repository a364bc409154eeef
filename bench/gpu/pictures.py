"""Provides the images: a folder of JPEG files, or drawn ones that cost a decoder as much as photographs."""

import io
from pathlib import Path

import numpy as np

from tagmill.bench import corpora, measure

COUNT = 48  # drawn; they are repeated under other keys
# Sides of images as on the web, in pixels: widths and heights.
SIDES = ((1024, 768), (768, 1024), (1280, 853), (800, 600), (1600, 1067), (640, 640))
SPECTRUM = 1.5  # amplitude falls with frequency ^ this: 0.24 bytes a pixel at QUALITY, as for photographs on the web
QUALITY = 88
LUMA, CHROMA, GRAIN = 58.0, 18.0, 2.0  # deviations, in levels


def found(images: Path, count: int | None) -> list[Path]:
    """Returns the JPEG files of a folder; if it has none, drawn ones (made once, under build/bench)."""
    if images.is_dir() and any(path.suffix.lower() in (".jpg", ".jpeg") for path in images.rglob("*")):
        return measure.pictures(images, count)
    number = count or COUNT
    return sorted(
        corpora.once(measure.ROOT / "build" / "bench" / f"drawn-{number}", lambda place: make(place, number)).iterdir()
    )


def make(folder: Path, count: int) -> None:
    """Writes `count` drawn images."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:04d}.jpg").write_bytes(drawn(number, *SIDES[number % len(SIDES)]))


def drawn(seed: int, width: int, height: int) -> bytes:
    """Returns a JPEG of coloured noise whose spectrum is that of natural scenes (amplitude ~ 1 / frequency; Field
    1987), a little steeper, as after lenses and scaling."""
    from PIL import Image

    draw = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    planes = []
    for spread in (LUMA, CHROMA, CHROMA):
        noise = draw.normal(size=(2, *frequency.shape))
        plane = np.fft.irfft2((noise[0] + 1j * noise[1]) / frequency**SPECTRUM, (height, width))
        planes.append(128 + spread * plane / plane.std())
    planes[0] += GRAIN * draw.normal(size=(height, width))
    levels = np.stack(planes, -1).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels, "YCbCr").convert("RGB").save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
