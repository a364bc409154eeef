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
from tests.pipeline.corpora import Made, make_corpus
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
