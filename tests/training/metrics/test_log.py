"""Tests the lines of a run, and that nothing that is not finite is written, whatever a run does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards import Store, TagmillError
from tagmill.train import train
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.metrics import log
from tagmill.training.metrics.flops import training_flops
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus
from tests.training.runs import VIT, lines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40, 8])


@pytest.mark.parametrize(("lr", "every"), [(1e3, 1), (1e37, 2)])
def test_files_of_a_run_that_diverges_are_strict_json(made: Made, tmp_path: Path, lr: float, every: int) -> None:
    """`tests/training/whole/test_divergence.py` has what such a run saves."""
    config = replace(VIT, corpus=made.url, output=str(tmp_path), lr=lr, steps=4, log_every=every, evaluate_every=24)
    try:
        train(config)
    except TagmillError as error:
        assert "--resume never" in str(error) and "step" in str(error)
    files = [path for path in tmp_path.glob("*.json*") if path.stat().st_size]
    assert len(files) >= 2
    for path in files:
        assert not any(word in path.read_text() for word in ("NaN", "Infinity"))


def test_weights_that_one_step_made_infinite_are_not_saved(made: Made, tmp_path: Path) -> None:
    config = replace(VIT, corpus=made.url, output=str(tmp_path), lr=1e36, weight_decay=1e6, optimiser="sgd", steps=1)
    with pytest.raises(TagmillError, match=r"not finite|is (nan|inf)"):
        train(config)
    assert steps_there(Store(str(tmp_path))) == []


def test_a_line_has_the_norm_of_the_gradient_and_valid_json(made: Made, tmp_path: Path) -> None:
    train(replace(VIT, corpus=made.url, output=str(tmp_path), steps=2))
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first["gradient_norm"] > 0 and first["step"] == 1


def test_the_first_step_has_a_line_at_once_and_then_every_so_many(made: Made, tmp_path: Path, capsys: Any) -> None:
    config = replace(VIT, corpus=made.url, output=str(tmp_path), steps=9, log_every=4, checkpoint_every=6)
    train(config)
    wanted = [1, 4, 6, 8, 9]
    assert [line["step"] for line in lines(tmp_path)] == wanted
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split("/")[0] for line in said] == [f"step {step}" for step in wanted]
    train(replace(config, resume="6"))
    assert [line["step"] for line in lines(tmp_path)] == [1, 4, 6, 7, 8, 9], "also the first after a resume"


def test_operations_are_those_of_the_images(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "device_peak", lambda config, device: 1e12)
    config = replace(VIT, corpus=made.url, output=str(tmp_path), steps=4, log_every=2)
    train(config)
    each = training_flops(config, NUM_LABELS)[32]
    before = 0
    for line in lines(tmp_path):
        images, before = line["images"] - before, line["images"]
        assert line["flops_per_second"] * line["seconds"] == pytest.approx(each * images)
        assert line["mfu"] == pytest.approx(line["flops_per_second"] / 1e12)
        assert 0 <= line["waited_share_slowest"] <= 1 and line["slowest_rank"] == 0 and "peak_memory_bytes" not in line


def test_a_loss_that_stays_at_a_constant_guess_is_said_in_words(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(log, "constant_guess_loss", lambda config, loader: 0.001)
    train(replace(VIT, corpus=made.url, output=str(tmp_path), steps=3))
    said = capsys.readouterr().out
    assert said.count("WARNING    the loss at step 1 is ") == 1 and "constant guess, 0.001" in said
