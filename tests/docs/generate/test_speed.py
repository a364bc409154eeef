"""The page of measured speeds."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.docs.generate.speed import BENCHMARKS, newest, speed_page
from tests.markdown import ROOT


def results(folder: Path, name: str, date: str, cases: dict[str, Any], ratios: dict[str, float]) -> None:
    path = folder / "bench/results" / f"{name}-{date}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = {"cores": 2, "processor": "P"}
    path.write_text(json.dumps({"date": date, "machine": machine, "cases": cases, "ratios": ratios}))


def test_the_newest_file_of_a_benchmark_and_of_no_other(tmp_path: Path) -> None:
    for name, date in [("loader", "2026-01-02"), ("loader", "2025-12-31"), ("loader-s3", "2027-01-01")]:
        results(tmp_path, name, date, {}, {})
    assert newest(tmp_path, "loader").name == "loader-2026-01-02.json"
    with pytest.raises(IndexError):
        newest(tmp_path, "feed")


def test_cases_and_ratios_are_rows(tmp_path: Path) -> None:
    fast = {"unit": "images/s", "median": 1234.4, "cpu_seconds_per_1000_images": 0.25, "peak_memory_bytes": 2_500_000}
    cases = {
        "fast": fast,
        "slow": {"unit": "images/s", "images_per_second": 9.876},
        "broken": {"unit": "images/s", "median": None},
    }
    for benchmark in BENCHMARKS:
        results(
            tmp_path, benchmark.name, "2026-01-02", cases, {"fast/slow": 124.99} if benchmark.name == "loader" else {}
        )
    page = speed_page(tmp_path)
    section = page.partition("## The loader beside other loaders")[2].partition("\n## ")[0]
    assert "| case | median | CPU s / 1,000 images | peak memory |" in section
    assert "| fast | 1,234 images/s | 0.250 | 2 MB |" in section
    assert "| slow | 9.88 images/s | - | - |" in section
    assert "| broken | - | - | - |" in section
    assert "| fast/slow | 124.99 |" in section
    assert page.count("fast/slow") == 1


def test_a_benchmark_without_results_has_no_section(tmp_path: Path) -> None:
    results(tmp_path, "feed", "2026-01-02", {"fast": {"unit": "images/s", "median": 1.0}}, {})
    titles = [line for line in speed_page(tmp_path).splitlines() if line.startswith("## ")]
    assert titles == ["## Reading without decoding"]


def test_every_benchmark_of_the_page_is_a_program_with_these_flags() -> None:
    for benchmark in BENCHMARKS:
        words = benchmark.command.split()
        program = (ROOT / words[1]).read_text()
        assert all(f'"{word}"' in program for word in words[2:]), benchmark.command
