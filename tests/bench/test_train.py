"""Tests the trainer's benchmark: a tiny run gives every case, and ratios are medians over pairs."""

import json
from pathlib import Path

import pytest

from tagmill.bench import train
from tagmill.bench.trainer.feeding import Clock, Cost
from tagmill.training.checkpoints.saving import Checkpoints
from tests.pipeline.corpora import make_corpus, picture


def cost(seconds: float, turns: int = 10) -> Cost:
    return Cost(turns, seconds, 2 * seconds, 0.0)


def test_a_ratio_is_the_median_over_pairs_and_not_the_ratio_of_medians() -> None:
    found = train.summary([(cost(1), cost(2)), (cost(9), cost(3)), (cost(2), cost(1))], "seconds")
    assert found == {"ours": 200, "theirs": 200, "ratio": 2, "ratios": [0.5, 3, 2]}


@pytest.mark.slow
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
    assert len(written["cases"]) == len(written["ratios"]) == 3 * len(train.QUICK)
    for name, case in written["cases"].items():
        assert len(case["runs"]) == 1
        if name.startswith("save"):
            continue  # what a tiny checkpoint costs is less than a tick of the clock
        beside = case["bare_loop" if name.startswith("step") else "resident"]
        assert case["median"] > 0 and beside > 0
    said = capsys.readouterr().out
    assert said.count("ratio") == 2 * len(train.QUICK) and said.count("a checkpoint") == len(train.QUICK)


def test_a_checkpoint_is_saved_in_the_first_step_of_each_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_corpus(tmp_path / "corpus", [40])
    case, begun, saves = train.Case("test_vit", 32, 7, 1, 3, (("img_size", 32),)), [0], []
    usual, read = Checkpoints.save, Clock.read

    def save(checkpoints: Checkpoints, *given: object) -> object:
        saves.append(begun[0])
        return usual(checkpoints, *given)

    def reading(clock: Clock, turns: int) -> Cost:
        begun[0] += 1
        return read(clock, turns)

    monkeypatch.setattr(Checkpoints, "save", save)
    monkeypatch.setattr(Clock, "read", reading)
    assert len(train.save_pairs(case, Path(made.url), 2, 8)) == 2
    assert saves[:2] == [0, 2], "in the first and third section of steps, and after the last"
