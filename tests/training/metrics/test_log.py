"""Tests that nothing that is not finite is saved or written, whatever a run does."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load

from tagmill.shards import Store, TagmillError
from tagmill.train import train
from tagmill.training.checkpoints.layout import read_done, read_object, steps_there
from tagmill.training.metrics import log
from tagmill.training.metrics.flops import training_flops
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus
from tests.training.runs import VIT, lines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40, 8])


def finite(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return math.isfinite(value) if isinstance(value, float) else all(map(finite, values))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lr=st.floats(1, 1e37),
    optimiser=st.sampled_from(["sgd", "adamw"]),
    every=st.integers(1, 3),
    log=st.integers(1, 3),
    loss=st.sampled_from(["softmax", "sigmoid"]),
)
def test_nothing_that_is_not_finite_is_ever_saved(
    lr: float, optimiser: Any, every: int, log: int, loss: Any, made: Made, tmp_path_factory: pytest.TempPathFactory
) -> None:
    output = tmp_path_factory.mktemp("model")
    config = replace(VIT, corpus=made.url, output=str(output), lr=lr, optimiser=optimiser, loss=loss)
    try:
        train(replace(config, checkpoint_every=every, log_every=log, steps=4, keep=2))
    except TagmillError as error:
        assert "--resume never" in str(error) and "step" in str(error)
    store = Store(str(output))
    for step in steps_there(store):
        done = read_done(store, step)
        for name in done.objects:
            if name.endswith(".safetensors"):
                assert finite(load(read_object(store, done, name)))
    for path in output.glob("*.json*"):
        assert not any(word in path.read_text() for word in ("NaN", "Infinity"))
    assert all(finite(line) for line in lines(output))


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
