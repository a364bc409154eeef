"""The page of what transfer measured: figures are those of the files, and what is not in our favour is said."""

import json
from pathlib import Path

from tagmill.docs.generate.speed import RESULTS, newest
from tagmill.docs.generate.transfer_results import transfer_results_page
from tests.markdown import ROOT

NAMES = ("transfer-drawn", "transfer-real", "detection", "zero-shot-emoji", "audit", "transfer")


def changed(folder: Path, name: str, **cases: object) -> str:
    """The page where the newest file of a benchmark has other cases."""
    (folder / RESULTS).mkdir(parents=True)
    for each in NAMES:
        found = json.loads(newest(ROOT, each).read_text())
        found["cases"] |= cases if each == name else {}
        (folder / RESULTS / f"{each}-2030-01-01.json").write_text(json.dumps(found))
    return transfer_results_page(folder)


def test_every_benchmark_has_its_section_with_its_file() -> None:
    page = transfer_results_page(ROOT)
    assert page.count("\n## ") == len(NAMES)
    assert all(f"../../{RESULTS}/{newest(ROOT, name).name})" in page for name in NAMES)


def test_a_share_outside_what_the_level_gives_is_said(tmp_path: Path) -> None:
    case = {"unit": "", "share": 0.07, "low": 0.037, "high": 0.064}
    assert "| many | 0.070 | 0.037 to 0.064, outside |" in changed(tmp_path, "audit", many=case)


def test_a_model_that_is_below_a_random_network_is_counted(tmp_path: Path) -> None:
    def share(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    case = {"trained": share(0.25), "random": [share(0.375), share(0.125)], "apart": False}
    before = transfer_results_page(ROOT).partition("`demo` is apart in ")[2].split()
    page = changed(tmp_path, "transfer-real", **{"set, demo, new": case})
    after = page.partition("`demo` is apart in ")[2].split()
    assert "| set, demo, new | 0.250 (0.150 to 0.350) | 0.125 to 0.375 | no |" in page
    assert after[0] == before[0] and int(after[2]) == int(before[2]) + 1
    assert int(after[10].rstrip(".")) == int(before[10].rstrip(".")) + 1
