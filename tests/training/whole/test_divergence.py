"""Tests that nothing which is not finite is ever saved, whatever a run diverges by, and that the advice works."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tagmill.shards import Store, TagmillError
from tagmill.train import train
from tagmill.training.checkpoints.layout import steps_there
from tests.pipeline.corpora import Made
from tests.training.runs import VIT, lines, weights_in


def check_checkpoints(output: str) -> list[int]:
    """Returns the steps of the checkpoints of an output, after reading each: weights and the optimiser's state are finite."""
    steps = list(steps_there(Store(output)))
    for step in steps:
        for file in (found := sorted(Path(output, "checkpoints", str(step)).glob("*.safetensors"))):
            assert all(bool(torch.isfinite(value).all()) for value in load_file(file).values()), file
        assert found, f"no tensors of step {step}"
    return steps


CONFIGS = st.fixed_dictionaries(
    {
        "lr": st.floats(0, 30).map(lambda power: 10**power),
        "optimiser": st.sampled_from(["sgd", "nesterov", "adamw"]),
        "clip": st.sampled_from([None, 1.0, 1e-3]),
        "precision": st.sampled_from(["fp32", "bf16"]),
        "loss": st.sampled_from(["softmax", "sigmoid"]),
        "checkpoint_every": st.integers(1, 4),
        "log_every": st.sampled_from([1, 3, 100]),
        "weight_decay": st.sampled_from([0.0, 1e-4, 10.0]),
    }
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(options=CONFIGS)
def test_no_checkpoint_ever_has_a_number_that_is_not_finite(
    whole_corpus: Made, tmp_path_factory: pytest.TempPathFactory, options: dict[str, Any]
) -> None:
    output = str(tmp_path_factory.mktemp("diverging") / "model")
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=8, keep=8, output=output, **options)
    usual = Store.put

    def put(self: Store, name: str, content: Any, *given: Any, **named: Any) -> None:
        usual(self, name, content, *given, **named)
        if name.endswith("done.json"):
            check_checkpoints(output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "put", put)
        try:
            train(config)
        except TagmillError as error:
            assert re.search(r"not finite|is (nan|-?inf)\b", str(error)), error
            assert "\n" not in str(error) and "lower lr" in str(error)
    for step in check_checkpoints(output):
        assert all(bool(torch.isfinite(value).all()) for value in weights_in(output, step).values())
    for line in lines(output):
        assert math.isfinite(line["loss"]) and math.isfinite(line["gradient_norm"])


@pytest.mark.parametrize("advice", [{"lr": 0.05}, {"lr": 0.05, "clip": 1.0}, {"lr": 0.05, "warmup_steps": 4}])
def test_a_run_that_diverged_ends_well_when_its_advice_is_followed(
    whole_corpus: Made, tmp_path: Path, advice: dict[str, Any]
) -> None:
    config = replace(VIT, corpus=whole_corpus.url, batch_size=16, steps=8, checkpoint_every=1, keep=8)
    config = replace(config, lr=1e25, optimiser="sgd", output=str(tmp_path / "model"))
    with pytest.raises(TagmillError, match="--resume never and a lower lr, a longer warm-up or --clip 1"):
        train(config)
    with pytest.raises(TagmillError, match="lr"):  # the same output, without --resume never
        train(replace(config, **advice))
    assert train(replace(config, resume="never", **advice))["trained"]["step"] == 8
    assert check_checkpoints(config.output) == list(range(1, 9))
    assert [line["step"] for line in lines(config.output)] == list(range(1, 9))
