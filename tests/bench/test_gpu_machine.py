"""Tests the description of a machine and of what it cannot measure."""

import pytest

from tagmill.bench.gpu import machine
from tagmill.pipeline.decode.choice.device import Machine


def test_missing_parts_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "detect", lambda device: Machine(0, None))
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda name: None)
    told = "\n".join(machine.cannot("cpu"))
    for words in ("no GPU", "DALI is not installed", "webdataset", "no training", "no DataLoader", "no S3 service"):
        assert words in told
    monkeypatch.setattr(machine, "detect", lambda device: Machine(1, "nvidia-dali-cuda130"))
    assert "no GPU" not in "\n".join(machine.cannot("cuda:0"))


def test_the_facts_of_this_machine() -> None:
    facts = machine.facts("cpu")
    assert facts["machine"]["usable_cores"] >= 1 and "gpu" not in facts["machine"]
    assert facts["versions"]["torch"] and facts["commit"]
