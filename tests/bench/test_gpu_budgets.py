"""Tests the cases of one GPU of a node, and processes that are measured together, on DALI's CPU mode."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench import corpora
from tagmill.bench.gpu import budgets, cases
from tagmill.bench.workers import UnavailableError
from tests.pipeline.corpora import picture

SMALL = cases.Size(batch=8, warm=1, batches=1, streams=2)


def flags_of(case: cases.Case) -> dict[str, str]:
    return dict(flag[2:].split("=", 1) for flag in case.command if flag.startswith("--"))


def test_every_window_is_measured_with_every_share_of_the_hardware(tmp_path: Path) -> None:
    found = budgets.windows("markers", tmp_path, "cuda:0", 16, cases.Size())
    choices = [json.loads(flags_of(case)["choices"]) for case in found]
    assert {(each["window"], each["hw_decoder_load"]) for each in choices} == {
        (window, load) for window in ("region", "full", "cut") for load in budgets.LOADS
    }
    assert len({case.name for case in found}) == len(found) == 15
    assert len(budgets.windows("markers", tmp_path, "cpu", 2, SMALL)) == 3


def test_every_backend_is_measured_with_every_number_of_cores(tmp_path: Path) -> None:
    found = budgets.with_cores("256", tmp_path, "cuda:0", 16, cases.Size(), "{}")
    flags = [flags_of(case) for case in found]
    assert all(each["threads"] == each["cores"] for each in flags)
    kinds = {(each["cores"], each["batch"], each.get("backend", "reader")) for each in flags}
    backends = ("dali", "cpu", "both", "auto", "reader")
    assert kinds == {(c, b, name) for c in ("14", "8", "4") for b in ("256", "1024") for name in backends}
    assert len({case.name for case in found}) == len(found) == 30
    few = budgets.with_cores("256", tmp_path, "cpu", 2, SMALL, "{}")
    assert {flags_of(case)["cores"] for case in few} == {"2"} and len(few) == 5


def test_processes_share_the_cores(tmp_path: Path) -> None:
    for case in budgets.shared("256", tmp_path, "cuda:0", 16, cases.Size(), "{}"):
        assert case.processes == 8 and flags_of(case)["threads"] == "2"


def test_figures_of_processes_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, str]] = []

    def run(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
        asked.append(environment)
        if command == ["fails"]:
            raise UnavailableError("out of memory")
        rank = int(environment.get("LOCAL_RANK", 0))
        return {"images_per_second": 100.0 + rank, "cpu_seconds_per_1000_images": 0.2 + rank, "versions": {}}

    monkeypatch.setattr(budgets, "run_worker", run)
    found = budgets.run_together(cases.Case("shared", "256", "", ("works",), 3), {"AWS": "1"})
    assert found["images_per_second"] == 303 and found["cpu_seconds_per_1000_images"] == pytest.approx(1.2)
    assert found["processes"] == 3 and found["versions"] == {}
    assert sorted(each["LOCAL_RANK"] for each in asked) == ["0", "1", "2"]
    assert all(each["LOCAL_WORLD_SIZE"] == "3" and each["AWS"] == "1" for each in asked)
    alone = budgets.run_together(cases.Case("cores", "256", "", ("works",)), {})
    assert alone["images_per_second"] == 100 and "LOCAL_RANK" not in asked[-1]
    with pytest.raises(UnavailableError, match="out of memory"):
        budgets.run_together(cases.Case("shared", "256", "", ("fails",), 2), {})


@pytest.mark.slow
def test_the_decoder_with_cut_windows_runs(tmp_path: Path) -> None:
    pytest.importorskip("nvidia.dali")
    images = tmp_path / "images"
    images.mkdir()
    for number in range(64):
        (images / f"{number:02d}.jpg").write_bytes(picture(number, 300, 280))
    corpora.make_corpus(images, tmp_path / "corpus")
    (cut,) = (case for case in budgets.windows("256", tmp_path, "cpu", 1, SMALL) if "window=cut" in case.name)
    assert budgets.run_together(cut, {})["images_per_second"] > 0
