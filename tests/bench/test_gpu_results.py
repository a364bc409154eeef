"""Tests figures that are kept from call to call, and their summary."""

import json
from pathlib import Path
from typing import Any

from tagmill.bench.gpu.results import DECODER, GRAPH, LOADER, WEBDATASET, Results, aims, plot, table

HEAD: dict[str, Any] = {"machine": {"gpu": "A"}, "versions": {}}


def filled(path: Path) -> Results:
    results = Results(path, HEAD)
    for part, name, rates in (
        ("limit", DECODER, [1000.0]),
        ("limit", GRAPH, [800.0, 900.0, 700.0]),
        ("loader", LOADER, [760.0]),
        ("peers", WEBDATASET, [200.0]),
    ):
        for rate in rates:
            figures = {"images_per_second": rate, "cpu_seconds_per_1000_images": 0.25}
            results.add(results.case(part, "256", name), figures)
    results.add(results.case("s3", "256", "tagmill, S3 on loopback"), None, "no radosgw")
    inner = {
        "images_per_second": 97.0,
        "cpu_seconds_per_1000_images": 1.5,
        "gpu_utilisation_percent": 99.0,
        "waited_percent": 0.3,
    }
    run = {"images_per_second": 97.0, "loader": [inner], "resident": [], "ratios": [0.97, 0.99]}
    results.add(results.case("training", "256", "vit"), run)
    return results


def test_an_aborted_call_keeps_its_results_and_the_next_continues(tmp_path: Path) -> None:
    filled(tmp_path / "gpu.json")
    again = Results(tmp_path / "gpu.json", HEAD)
    entry = again.case("limit", "256", GRAPH)
    assert [run["images_per_second"] for run in entry["runs"]] == [800, 900, 700] and entry["median"] == 800
    again.add(entry, None, "it broke now")
    assert "reason" not in entry  # there are figures
    failed = again.case("s3", "256", "tagmill, S3 on loopback")
    assert failed["reason"] == "no radosgw"
    again.add(failed, {"images_per_second": 1.0})
    assert "reason" not in failed and not list(tmp_path.glob("*.unfinished"))
    assert json.loads((tmp_path / "gpu.json").read_text())["cases"]["s3, 256, tagmill, S3 on loopback"]["median"] == 1


def test_figures_of_another_machine_are_kept_apart(tmp_path: Path) -> None:
    filled(tmp_path / "gpu.json")
    other = Results(tmp_path / "gpu.json", {"machine": {"gpu": "B"}, "versions": {}})
    assert not other.content["cases"] and other.content["earlier"][0]["machine"] == {"gpu": "A"}
    third = Results(tmp_path / "gpu.json", HEAD)
    assert [each["machine"]["gpu"] for each in third.content["earlier"]] == ["A", "B"]


def test_aims_and_table(tmp_path: Path) -> None:
    cases = filled(tmp_path / "gpu.json").of("limit", "loader", "peers", "training", "s3")
    told = aims(cases)
    assert told == [
        "256: tagmill, disk / graph from memory = 0.95 (aim: 0.95)",
        "256: tagmill, disk / webdataset + DataLoader = 3.80 (aim: 3.0)",
        "256: vit with the loader / resident = 0.980 (aim: 0.98)",
    ]
    lines = {line.split("  ")[0]: line for line in table(cases).splitlines()}
    assert "760" in lines[f"256: {LOADER}"] and "0.95" in lines[f"256: {LOADER}"] and "0.25" in lines[f"256: {LOADER}"]
    assert "not run: no radosgw" in lines["256: tagmill, S3 on loopback"]
    assert (
        "0.980" in lines["256: vit"]
        and "99" in lines["256: vit"]
        and "0.3" in lines["256: vit"]
        and "1.50" in lines["256: vit"]
    )


def test_a_plot_is_drawn_of_the_available_figures(tmp_path: Path) -> None:
    cases = filled(tmp_path / "gpu.json").of("limit", "s3")
    assert plot(cases, tmp_path / "gpu.png") and (tmp_path / "gpu.png").stat().st_size > 5000
    assert not plot([], tmp_path / "none.png")
