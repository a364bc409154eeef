"""Tests settings one by one, in processes that they may end."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench.gpu import sweep

# A stand-in for the worker: a setting decides whether the process answers, dies, or sleeps.
WORKER = """
import json, os, sys, time
for setting in json.load(sys.stdin):
    if setting == "dies":
        print("out of memory", file=sys.stderr, flush=True)
        os._exit(3)
    if setting == "sleeps":
        time.sleep(60)
    print(json.dumps({"images_per_second": setting}), flush=True)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker.py").write_text(WORKER)

    class System:
        executable = str(tmp_path / "python")

    Path(System.executable).write_text(f"#!/bin/sh\nexec {sys.executable} {tmp_path}/worker.py\n")
    Path(System.executable).chmod(0o755)
    monkeypatch.setattr(sweep, "sys", System)


def run(chosen: list[Any], seconds: float = 60.0) -> list[Any]:
    return list(sweep.measured("corpus", "cpu", chosen, 0.1, 1, lambda: seconds))


@pytest.mark.usefixtures("worker")
def test_a_setting_that_ends_its_process_costs_only_itself() -> None:
    found = run([1, "dies", 2, 3, "dies"])
    assert [setting for setting, _ in found] == [1, "dies", 2, 3, "dies"]
    assert [figures.get("images_per_second") for _, figures in found] == [1, None, 2, 3, None]
    assert "out of memory" in found[1][1]["reason"]


@pytest.mark.usefixtures("worker")
def test_a_worker_that_never_answers_is_abandoned() -> None:
    found = run(["dies"] * 9)
    assert len(found) == 9 and all("out of memory" in figures["reason"] for _, figures in found)


@pytest.mark.usefixtures("worker")
def test_settings_without_time_are_not_yielded() -> None:
    left = iter([1.0, 1.0, 0.0, 0.0, 0.0])
    found = list(sweep.measured("corpus", "cpu", [5, "sleeps", 6], 0.1, 1, lambda: next(left)))
    assert found == [(5, {"images_per_second": 5})]


def test_every_choice_occurs_once_with_its_name() -> None:
    chosen = sweep.settings("cuda:0", 16, quick=False)
    names = [sweep.title(setting, chosen[0]) for setting in chosen]
    assert names[0] == "default" and len(set(names)) == len(names)
    assert {
        "window=full, hw_decoder_load=1.0",
        "window=cut, hw_decoder_load=0.9",
        "fancy_upsampling=False",
        "batch=1024",
        "threads=2",
        "size=384",
    } <= set(names)
    on_cpu = sweep.settings("cpu", 2, quick=False)
    assert all(setting["hw_decoder_load"] == 0.65 and setting["threads"] == 2 for setting in on_cpu)
    assert len(sweep.settings("cuda:0", 16, quick=True)) == 4
