"""Tests the measurement of an image's cost for the host, on a few small images."""

import json
from pathlib import Path

import pytest

from tagmill.bench.gpu import host_costs
from tests.pipeline.corpora import picture
from tests.pipeline.decode.test_libjpeg import COMPILED


@COMPILED
def test_every_kind_of_image_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(16):
        (tmp_path / f"{number:02d}.jpg").write_bytes(picture(number, 300, 280))
    monkeypatch.setattr(host_costs, "TILE", 64)
    host_costs.main(["--images", str(tmp_path), "--quick", "--out", str(tmp_path / "costs.json")])
    cases = json.loads((tmp_path / "costs.json").read_text())["cases"]
    assert list(cases) == list(host_costs.KINDS)
    assert [case["images"] for case in cases.values()] == [16, 16, 4, 1]
    for case in cases.values():
        assert case["decoding_ms"] > 0 and case["cutting_us"] > 0 and 0 < case["bytes_after_cutting"] <= 1
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(cases)
