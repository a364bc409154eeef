"""Tests tables, JSON and a plot of measurements, including cases that could not run."""

from pathlib import Path
from typing import Any

import pytest

from tagmill.bench import figures
from tagmill.bench.workers import US, Case, Peer


def run(rate: float, **more: float) -> dict[str, Any]:
    figures_ = {"cpu_seconds_per_1000_images": 500 / rate, "peak_memory_bytes": 3e8, "first_batch_seconds": 0.5}
    start = {"process_start_to_first_batch_seconds": 2.5, "seconds": 2.0, "versions": {"some": "1"}}
    return {"images_per_second": rate, **figures_, **start, **more}


def case(name: str, *rates: float, output: str = "uint8", place: str = "", **more: float) -> Case:
    return Case(Peer(name, "some.py", "images"), output, place, [run(rate, **more) for rate in rates])


def test_ratios_are_of_medians_of_one_output() -> None:
    cases = [
        case(US, 100, 300, 200),
        case("other", 50),
        case(US, 80, output="float32"),
        case("other", 20, output="float32"),
    ]
    assert figures.ratios(cases) == {"uint8: tagmill/other": 4.0, "float32: tagmill/other": 4.0}


def test_ours_from_a_remote_store_is_compared_with_ours_from_the_disk() -> None:
    cases = [case(US, 200, place="disk"), case(US, 150, place="S3"), case("other", 100, place="S3")]
    assert figures.ratios(cases) == {"uint8: S3/disk": 0.75, "uint8: tagmill/other, S3": 2.0}


def test_a_missing_peer_is_in_the_table_and_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    missing = case("lost")
    missing.reason = "libavcodec is not there"
    cases = [case(US, 100), missing, case("other", 50, 150, 70)]
    figures.table(cases)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("lost") and line.endswith("not measured: libavcodec is not there") for line in lines)
    assert any(line.split()[:3] == ["other", "70", "1.43"] for line in lines)
    found = figures.as_json(cases)
    assert found["uint8, lost"] == {"unit": "images/s", "median": None, "runs": [], "reason": missing.reason}
    assert found["uint8, other"]["runs"] == [50, 150, 70] and found["uint8, other"]["median"] == 70
    assert found["uint8, other"]["versions"] == {"some": "1"}


def test_the_remote_table_has_holes_waits_and_requests(capsys: pytest.CaptureFixture[str]) -> None:
    seen = {"decoder_waited_seconds": 0.5, "holes": 3, "requests": 1234, "failed_requests": 12, "answered_bytes": 5e6}
    figures.remote_table([case(US, 100, place="S3", **seen), case("other", 50, place="S3")])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:9] == ["tagmill,", "S3", "100", "25.0", "%", "3", "1,234", "12", "5"] for line in lines)
    assert any(line.startswith("other, S3") for line in lines)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_plot_is_drawn(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / "plots" / f"some{suffix}"
    figures.plot([case(US, 100, 120), case("other", 50), case("lost"), case(US, 80, output="float32")], file)
    assert file.stat().st_size > 1000
