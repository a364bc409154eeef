"""Tests the trainer's benchmark: a tiny run gives every case, and ratios are medians over pairs."""

import json
from pathlib import Path

import pytest

from tagmill.bench import train
from tagmill.bench.trainer.feeding import Cost
from tests.pipeline.corpora import picture


def cost(seconds: float, turns: int = 10) -> Cost:
    return Cost(turns, seconds, 2 * seconds, 0.0)


def test_a_ratio_is_the_median_over_pairs_and_not_the_ratio_of_medians() -> None:
    found = train.summary([(cost(1), cost(2)), (cost(9), cost(3)), (cost(2), cost(1))], "seconds")
    assert found == {"ours": 200, "theirs": 200, "ratio": 2, "ratios": [0.5, 3, 2]}


def test_a_tiny_run_measures_every_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train.measure, "ROOT", tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(8):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(picture(number, 96, 80))
    out = tmp_path / "train.json"
    train.main(["--quick", "--rounds", "1", "--images", str(tmp_path / "images"), "--out", str(out)])
    written = json.loads(out.read_text())
    assert len(written["cases"]) == len(written["ratios"]) == 2 * len(train.QUICK)
    for name, case in written["cases"].items():
        beside = case["bare_loop" if name.startswith("step") else "resident"]
        assert case["median"] > 0 and beside > 0 and len(case["runs"]) == 1
    assert capsys.readouterr().out.count("ratio") == len(written["cases"])
