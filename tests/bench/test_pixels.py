"""Tests that the measured steps are those of ingest: together they give exactly the image that ingest stores."""

import io

import numpy as np
import pytest
from PIL import Image

from tagmill.bench.pixels import Clock, in_planes, ingest_steps, step_by_step
from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images import jpeg_planes
from tagmill.ingest.images.prepare import Prepared, prepare


def photograph(width: int, height: int) -> bytes:
    noise = np.random.default_rng(width).integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(sink, "JPEG")
    return sink.getvalue()


@pytest.mark.parametrize("size", [(500, 375), (1203, 1601), (90, 200)])
def test_the_steps_give_what_ingest_stores(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_planes, "_compiled", None)  # equal to those of the RGB path
    body, policy, clock = photograph(*size), ImagePolicy(256, 90, 16, 10_000_000), Clock()
    assert not in_planes(body, policy)
    made = prepare(body, policy)
    assert isinstance(made, Prepared) and step_by_step(body, policy, clock) == made.jpeg
    assert list(clock.seconds) == ["header check", "decode", "resize", "encode", "sha256", "PDQ"]


def test_every_step_has_its_figure() -> None:
    steps = ingest_steps([photograph(500, 375), photograph(640, 480)], 3)
    medians = {name: float(str(case["median"])) for name, case in steps.items()}
    planar = [medians.pop(name) for name in list(medians) if "in planes (2 of 2)" in name]
    assert len(planar) == jpeg_planes.is_compiled()
    assert len(medians) == 9 and all(len(list(case["runs"])) == 3 for case in steps.values())  # type: ignore[call-overload]
    assert min([*medians.values(), *planar]) > 0
    assert {"all: short side 256", "all: stored as it came (2 of 2)"} < set(medians)
