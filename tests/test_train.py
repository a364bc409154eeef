"""Tests train.py: loss, schedule, control and accuracy, and that stopping, resuming and dividing the work change
nothing."""

import io
import json
import math
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tagmill.pipeline import Terms
from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.train import TrainConfig, train
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.model.build import build_model
from tagmill.training.step.losses import softmax_loss
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus
from tests.training.runs import VIT, command, lines, weights_in
from tests.warm.python import warm_python


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40, 30, 20], holdout=[31])


def colours(folder: Path) -> Made:
    """Makes a corpus that can be learnt: each label is a colour, on images with one label."""
    plain = make_corpus(folder / "plain", [80, 80, 50], holdout=[60], max_labels=1)
    draw, pictures = np.random.default_rng(1), {}
    for number, (width, height) in enumerate(plain.sizes):
        label = int(plain.labels[number, 0])
        colour = np.array([label & 1, label >> 1 & 1, label >> 2 & 1]) * 130 + 60
        file = io.BytesIO()
        pixels = (colour + draw.normal(0, 20, (height, width, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file, "JPEG")
        pictures[number] = file.getvalue()
    return make_corpus(folder / "colours", [80, 80, 50], holdout=[60], max_labels=1, replace=pictures)


def test_labels_are_learnt_and_shuffled_labels_are_not(tmp_path: Path) -> None:
    corpus = colours(tmp_path)
    config = TrainConfig(
        corpus=corpus.url,
        output=str(tmp_path / "real"),
        model="test_resnet",
        size=32,
        batch_size=16,
        lr=0.05,
        epochs=4,
        streams=4,
        chunk=8,
        device="cpu",
        backend="cpu",
    )
    real = train(config)
    control = train(replace(config, shuffle_labels=True, output=str(tmp_path / "control")))
    assert real["chance"] == pytest.approx(1 / NUM_LABELS)
    assert real["top1"] > 0.8 and real["mean_class_accuracy"] > 0.8
    assert control["top1"] < 0.4 and control["mean_class_accuracy"] < 0.4
    assert json.loads((tmp_path / "real/evaluation.json").read_text()) == real


def test_batch_statistics_see_images_only(tmp_path: Path) -> None:
    """An epoch of 49 in batches of 24: the last batch has one image and 23 slots of padding; two images are holes."""
    corpus = make_corpus(tmp_path / "corpus", [49], replace={3: b"no image", 30: b"no image"})
    config = replace(VIT, model="test_resnet", model_args={}, steps=None, epochs=1, corpus=corpus.url)
    config = replace(config, failure_budget=1.0, output=str(tmp_path / "model"))
    seen: list[tuple[int, bool]] = []
    inner = nn.BatchNorm2d.forward

    def forward(self: nn.BatchNorm2d, images: torch.Tensor) -> torch.Tensor:
        seen.append((len(images), bool((images.flatten(1).std(1) == 0).any())))
        return inner(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timm.layers.norm_act.BatchNormAct2d.forward", forward, raising=False)
        patch.setattr(nn.BatchNorm2d, "forward", forward)
        result = train(config)
    counts = {count for count, _ in seen}
    # Both holes in one batch, or one in each; the last image is there twice, because one value a channel has no variance.
    assert counts in ({2, 22, 24}, {2, 23})
    assert not seen[0][1], "a black image was normalised"
    assert set(result) == {"trained"} and result["trained"]["images"] == 49
    assert sum(line["holes"] for line in lines(config.output)) == 2


def test_a_model_that_normalises_over_a_batch_refuses_single_images(made: Made, tmp_path: Path) -> None:
    config = replace(
        VIT, model="test_resnet", model_args={}, corpus=made.url, batch_size=1, output=str(tmp_path / "model")
    )
    with pytest.raises(ConfigError, match="batches of 1 image"):
        train(config)


# --------------------------------------------------------------------------------------------------- Stopping, resuming
@pytest.fixture(scope="module")
def undisturbed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Runs one process from beginning to end: 27 steps, and an epoch has four."""
    config = replace(VIT, corpus=made.url, steps=27, output=str(tmp_path_factory.mktemp("undisturbed")))
    train(config)
    return config


KILLED = """
import os, signal, sys
import tagmill.train
from tagmill.training import one_step

calls, usual = [], one_step.backward

def killing(*given):
    calls.append(given)
    if len(calls) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*given)

one_step.backward = killing
tagmill.train.main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def killed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Starts a run that is killed in its eighth step; the last checkpoint is of the sixth."""
    config = replace(VIT, corpus=made.url, steps=27, output=str(tmp_path_factory.mktemp("killed")))
    words = command(config)
    words[:3] = [warm_python(), "-c", KILLED]
    assert subprocess.run(words, timeout=200).returncode == -signal.SIGKILL
    assert len(lines(config.output)) == 7
    return config


@pytest.mark.slow
def test_a_killed_run_resumes_exactly(undisturbed: TrainConfig, killed: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(killed.output, tmp_path / "copy")
    with (tmp_path / "copy/metrics.jsonl").open("a") as journal:
        journal.write('{"step": 5, "lo')  # a line truncated by the kill
    train(replace(killed, output=str(tmp_path / "copy")))
    same = ("step", "epoch", "turn", "images", "loss", "lr", "holes")
    found, wanted = lines(tmp_path / "copy"), lines(undisturbed.output)
    assert [[line[name] for name in same] for line in found] == [[line[name] for name in same] for line in wanted]
    assert [line["step"] for line in found] == list(range(1, 28))


OPTIONS: dict[str, dict[str, Any]] = {
    "augmented": {"jitter": (0.4, 0.4, 0.4, 0.1), "randaugment": (2, 9), "mixup": 0.2},
    "several sizes": {"size": "16-32:16"},
    "dropped, adamw": {
        "model_args": {"img_size": 32, "drop_path_rate": 0.3, "proj_drop_rate": 0.2},
        "optimiser": "adamw",
        "label_weights": "idf",
        "clip": 1.0,
        "schedule": "linear",
    },
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_run_with_options_resumes_exactly(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options = OPTIONS[kind]
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "whole"), steps=8, **options)
    train(config)
    stopped, calls = replace(config, output=str(tmp_path / "stopped")), []

    def stopping(logits: torch.Tensor, terms: Terms, smoothing: float) -> torch.Tensor:
        calls.append(terms.weights.sum())
        if len(calls) == 6:
            raise InterruptedError
        return softmax_loss(logits, terms)

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr("tagmill.training.one_step.softmax_loss", stopping)
        train(stopped)
    assert calls[0] == pytest.approx(24) and len(lines(stopped.output)) == 5
    train(stopped)
    found, wanted = ([(line["step"], line["loss"]) for line in lines(run.output)] for run in (stopped, config))
    assert found == wanted and len(found) == 8
    for name in options:
        with pytest.raises(TagmillError, match=f"{name} is"):
            train(replace(stopped, **{name: getattr(VIT, name)}))


def test_parts_of_mixed_images_take_the_same_steps_as_the_whole(made: Made, tmp_path: Path) -> None:
    plain = replace(
        VIT, corpus=made.url, optimiser="sgd", momentum=0.0, steps=5, mixup=0.4, output=str(tmp_path / "one")
    )
    for parts in (1, 2, 3):
        train(replace(plain, accumulation=parts, output=str(tmp_path / ("one", "two", "three")[parts - 1])))
    compare_weights(plain, [tmp_path / "two", tmp_path / "three"])


def compare_weights(config: TrainConfig, others: list[Path]) -> None:
    torch.manual_seed(config.seed)
    begun, one = build_model(config, NUM_LABELS).state_dict(), weights_in(Path(config.output))
    moved = max(float((one[name] - begun[name]).abs().max()) for name in one)
    for other in map(weights_in, others):
        assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-5 < moved / 100


def test_the_parts_of_a_step_may_change_at_a_resume(
    undisturbed: TrainConfig, killed: TrainConfig, tmp_path: Path
) -> None:
    shutil.copytree(killed.output, tmp_path / "copy")
    train(replace(killed, output=str(tmp_path / "copy"), accumulation=3))
    found, wanted = lines(tmp_path / "copy"), lines(undisturbed.output)
    assert [line["turn"] for line in found] == [line["turn"] for line in wanted]
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in wanted], rel=1e-3)


def test_a_run_goes_back_to_a_step_that_was_kept(undisturbed: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.output, tmp_path / "copy")
    assert steps_there(Store(str(tmp_path / "copy"))) == [21, 24, 27]
    train(replace(undisturbed, output=str(tmp_path / "copy"), resume="21"))
    same = ("step", "turn", "loss")
    found, wanted = (
        [[line[name] for name in same] for line in lines(each)] for each in (tmp_path / "copy", undisturbed.output)
    )
    assert found == wanted


# ---------------------------------------------------------------------------------------------------------- Signals
def test_a_signal_saves_and_ends_between_two_steps(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        VIT, corpus=made.url, output=str(tmp_path / "stopped"), steps=8, log_every=100, checkpoint_every=100
    )
    calls: list[int] = []

    def stopping(logits: torch.Tensor, terms: Terms, smoothing: float) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return softmax_loss(logits, terms, smoothing)

    with monkeypatch.context() as patch:
        patch.setattr("tagmill.training.one_step.softmax_loss", stopping)
        assert train(config)["stopped"] == signal.SIGTERM
    assert len(calls) == 3 and lines(config.output)[-1]["step"] == 3
    whole = replace(config, output=str(tmp_path / "whole"))
    train(config)
    train(whole)
    one, two = weights_in(tmp_path / "stopped"), weights_in(tmp_path / "whole")
    assert all(torch.equal(one[name], two[name]) for name in one)


# ------------------------------------------------------------------------------------------------------------- Refusals
def test_checkpoints_of_other_runs_are_refused_by_name(undisturbed: TrainConfig, made: Made, tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match=r"lr is 0\.05, this run's is 0\.06.*--resume never"):
        train(replace(undisturbed, lr=0.06))
    other = make_corpus(tmp_path / "other", [40, 30, 20], holdout=[31], seed=1)
    with pytest.raises(TagmillError, match="manifest is"):
        train(replace(undisturbed, corpus=other.url))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_location(made: Made, tmp_path: Path) -> None:
    config = replace(VIT, corpus=made.url, output=str(tmp_path), lr=1e30, optimiser="sgd", log_every=10)
    with pytest.raises(
        TagmillError, match=r"the (loss|norm of the gradient) is (nan|inf).*step \d of 90, from epoch 0, turn \d+"
    ) as caught:
        train(config)
    assert "a lower lr" in str(caught.value)
    assert all(math.isfinite(line["loss"]) for line in lines(tmp_path))
    for step in steps_there(Store(str(tmp_path))):
        assert all(value.isfinite().all() for value in weights_in(tmp_path, step).values())


def test_an_unwritable_output_is_refused_before_training(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TagmillError, match="file"):
        train(replace(VIT, corpus=made.url, output=str(tmp_path / "file" / "model")))
