"""Tests drawn images that replace photographs."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import measure
from tagmill.bench.gpu import pictures


def test_drawn_images_have_the_size_of_photographs() -> None:
    one, same, other = (pictures.drawn(seed, 400, 300) for seed in (1, 1, 2))
    assert one == same and one != other
    assert Image.open(io.BytesIO(one)).size == (400, 300)
    assert 0.1 < len(one) / (400 * 300) < 0.5  # bytes a pixel
    assert np.asarray(Image.open(io.BytesIO(one))).std() > 30


def test_a_folder_of_files_is_used_and_else_some_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(pictures, "SIDES", ((40, 30),))
    drawn = pictures.found(tmp_path / "nowhere", 3)
    assert len(drawn) == 3 and pictures.found(tmp_path / "nowhere", 3) == drawn
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    mine = tmp_path / "mine" / "deep" / "a.JPG"
    mine.write_bytes(drawn[0].read_bytes())
    assert pictures.found(tmp_path / "mine", None) == [mine]
