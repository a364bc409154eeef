"""Tests the summary of runs: medians, ratios, and a line with the reason for a program without runs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import figures, ingest
from tagmill.bench.ingest import CPU, LIMIT, PEAK, RATE, THEM, US, Case


def cases() -> list[Case]:
    def run(rate: float) -> dict[str, object]:
        return {RATE: rate, CPU: 3.0, PEAK: 5e6, "seconds": 800 / rate, "samples": 800, "versions": {"x": "1"}}

    return [
        Case(US, [run(rate) for rate in (500.0, 700.0, 600.0)]),
        Case(THEM, [run(rate) for rate in (200.0, 300.0, 250.0)]),
        Case(LIMIT, [{RATE: rate} for rate in (750.0, 740.0, 760.0)]),
    ]


def test_ratios_are_of_medians_and_a_case_without_runs_has_none() -> None:
    found = cases()
    assert ingest.ratios(found) == {f"{US}/{THEM}": 2.4, f"{US}/{LIMIT}": 0.8}
    found[1] = Case(THEM, reason="not installed: no network")
    assert ingest.ratios(found) == {f"{US}/{LIMIT}": 0.8}
    found[0] = Case(US, reason="no nginx here")
    assert ingest.ratios(found) == {}


def test_the_table_and_the_json_are_complete(capsys: pytest.CaptureFixture[str]) -> None:
    found = cases()
    found[1] = Case(THEM, reason="not installed: no network")
    ingest.table(found)
    said = capsys.readouterr().out
    assert "not measured: not installed: no network" in said and "0.80" in said and "600" in said
    line = figures.as_json(found)
    assert line[US] | {"runs": []} == {
        "unit": "images/s",
        "median": 600.0,
        "runs": [],
        CPU: 3.0,
        PEAK: 5e6,
        "samples": 800,
        "versions": {"x": "1"},
    }
    assert line[THEM] == {"unit": "images/s", "median": None, "runs": [], "reason": "not installed: no network"}
    assert line[LIMIT]["median"] == 750.0


def test_the_pixel_work_is_measured_in_separate_processes(tmp_path: Path) -> None:
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.jpg")
    assert ingest.pixel_work(tmp_path, count=12, processes=2) > 0
