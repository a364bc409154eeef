"""Tests the benchmark of restart markers: what it counts is what a brute-force count finds."""

import io

import numpy as np
import pytest
from PIL import Image

from tagmill.bench.restart_markers import as_they_came, chosen, decoded, measured
from tagmill.pipeline.augment.draws import train_crops


@pytest.mark.parametrize(("width", "height", "interval"), [(352, 256, 2), (340, 250, 11), (256, 390, 4), (17, 9, 1)])
def test_the_share_that_is_decoded(width: int, height: int, interval: int) -> None:
    """An MCU is decoded if its segment shares a pixel with the crop or with the pixels around it."""
    crops = 9
    window = train_crops(
        0, 0, np.arange(5, 5 + crops), np.full(crops, width, np.int32), np.full(crops, height, np.int32)
    )
    across, down = -(-width // 16), -(-height // 16)
    found = 0
    for number in range(crops):
        needed = np.zeros((down * 16, across * 16), bool)
        left, top = max(0, window.x[number] - 1), max(0, window.y[number] - 1)
        right, bottom = window.x[number] + window.width[number] + 1, window.y[number] + window.height[number] + 1
        needed[top:bottom, left:right] = True
        segments = needed.reshape(down, 16, across // interval, 16 * interval).any(axis=(1, 3))
        found += int(segments.sum()) * interval
    assert decoded(width, height, interval, crops, first=5) == pytest.approx(found / crops / (across * down))
    assert decoded(width, height, 0, crops) == 1


def drawn(width: int, height: int) -> bytes:
    coarse = np.random.default_rng(width).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(sink, "JPEG", quality=92)
    return sink.getvalue()


def test_every_interval_has_its_figures() -> None:
    files = [drawn(352, 256), drawn(200, 400)]
    cases = measured(files, 64, 20)
    assert list(cases) == ["0", "1", "2", "3", "4", "8", "a row", "auto"]
    growth, share = ([float(str(case[key])) for case in cases.values()] for key in ("growth_mean", "decoded"))
    assert growth[0] == 0 and share[0] == 1 and growth[1] == max(growth) > 0 and share[1] == min(share)
    assert growth[1:7] == sorted(growth[1:7], reverse=True) and share[1:7] == sorted(share[1:7])
    assert chosen(files, 64) == {
        "4 x 8 MCUs": {"unit": "photographs", "photographs": 1, "interval": 2},
        "6 x 4 MCUs": {"unit": "photographs", "photographs": 1, "interval": 2},
    }
    came = as_they_came(files)
    assert came["photographs"] == 2 and float(str(came["growth_of_all"])) < 0.03
