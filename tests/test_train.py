"""Tests train.py: loss, schedule, control and accuracy, and that stopping, resuming and dividing the work change
nothing."""

import hashlib
import io
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from tagmill.pipeline import Labels, Loader, ProgressiveSize, Terms, VariedSize, World
from tagmill.shards import ConfigError, TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.train import (
    TrainConfig,
    build_model,
    build_optimiser,
    check_sizes,
    evaluate,
    identity,
    learning_rate,
    restore,
    scores,
    shuffled,
    tag_loss,
    train,
)
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus

# A model without batch statistics, small steps that cross epochs (90 turns) and blocks (5 x 2 x 4 turns), uneven ranks.
VIT = TrainConfig(
    model="test_vit",
    model_args={"img_size": 32},
    size=32,
    batch_size=24,
    lr=0.05,
    steps=90,
    streams=5,
    chunk=4,
    log_every=1,
    checkpoint_every=3,
    device="cpu",
    backend="cpu",
    threads=1,
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("corpus"), [40, 30, 20], holdout=[31])


def command(config: TrainConfig, processes: int = 1) -> list[str]:
    """Returns the command line of a configuration, under torchrun if there are several processes."""
    changed = {name: getattr(config, name) for name in TrainConfig.__dataclass_fields__}
    words = []
    for name, value in changed.items():
        if value != TrainConfig.__dataclass_fields__[name].default and value != {}:
            pairs = [str(part) for pair in value.items() for part in pair] if isinstance(value, dict) else [str(value)]
            words += [f"--{name.replace('_', '-')}", *pairs]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "tagmill.train", *words]


def lines(folder: Path | str) -> list[dict[str, Any]]:
    """Returns the metrics; a running process may be writing the last line."""
    journal = Path(folder, "metrics.jsonl")
    text = journal.read_text() if journal.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


# ------------------------------------------------------------------------------------------------------------- The loss
def random_labels(draw: np.random.Generator, images: int, classes: int) -> list[np.ndarray]:
    """Generates up to 4 labels an image, none for some."""
    return [draw.choice(classes, draw.integers(0, min(4, classes) + 1), replace=False) for _ in range(images)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 12))
def test_the_loss_and_its_gradient_equal_those_of_dense_targets(seed: int, images: int, classes: int) -> None:
    draw = np.random.default_rng(seed)
    rows = random_labels(draw, images, classes)
    logits = torch.from_numpy(draw.normal(0, 3, (images, classes))).requires_grad_()
    targets = torch.zeros(images, classes, dtype=torch.float64)
    for row, ids in enumerate(rows):
        targets[row, torch.from_numpy(ids)] = 1 / max(1, len(ids))
    dense = -(targets * torch.log_softmax(logits, 1)).sum()
    (wanted,) = torch.autograd.grad(dense, logits)
    ours = tag_loss(logits, Labels.of([ids.astype(np.int32) for ids in rows]).terms())
    (found,) = torch.autograd.grad(ours, logits)
    torch.testing.assert_close(ours.double(), dense, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_images_without_labels_add_nothing() -> None:
    labels = Labels.of([np.array([1], np.int32), np.empty(0, np.int32)])
    logits = torch.randn(2, 3, requires_grad=True)
    tag_loss(logits, labels.terms()).backward()
    assert logits.grad is not None and logits.grad[0].any() and not logits.grad[1].any()


# ---------------------------------------------------------------------------------------------------------- The control
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12))
def test_the_control_gives_every_label_to_another_image(seed: int, images: int) -> None:
    draw = np.random.default_rng(seed)
    rows = [np.full(draw.integers(0, 3), row) for row in range(images)]  # an image's labels are its own number
    labels = Labels.of([ids.astype(np.int32) for ids in rows])
    given_ = shuffled(labels, {"turn": seed}, torch.arange(images))
    labelled = {row for row in range(images) if len(rows[row])}
    taught = {row: set(given_[row].tolist()) for row in range(images)}
    assert all(row not in taught[row] for row in range(images))
    if len(labelled) > 1:
        assert sorted(row for ids in taught.values() for row in ids) == sorted(labelled)
    assert torch.equal(given_.ids, shuffled(labels, {"turn": seed}, torch.arange(images)).ids)


def test_the_control_depends_on_state_and_positions() -> None:
    labels = Labels.of([np.array([row], np.int32) for row in range(50)])
    orders = {tuple(shuffled(labels, {"turn": turn}, torch.arange(50)).ids.tolist()) for turn in range(5)}
    assert len(orders) == 5


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


# -------------------------------------------------------------------------------------------------------- Configuration
def test_the_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(lr=0.1, lr_batch_size=256, batch_size=8064, warmup_steps=10, warmup_lr=0.1)
    rates = [learning_rate(config, step, 110) for step in range(110)]
    assert rates[9] == rates[10] == pytest.approx(3.15)
    assert rates[0] == pytest.approx(0.1 + (3.15 - 0.1) / 10)
    assert rates[60] == pytest.approx(3.15 / 2) and 0 < rates[-1] < 0.001 and rates[10:] == sorted(rates[10:])[::-1]
    halved = replace(config, schedule="milestones", milestones=(0.25, 0.5, 0.75), gamma=0.5, warmup_steps=0)
    assert [learning_rate(halved, step, 4) for step in range(4)] == pytest.approx([3.15, 1.575, 0.7875, 0.39375])


def test_decay_spares_biases_norms_and_position_embeddings() -> None:
    model = build_model(VIT, 5)
    groups = build_optimiser(replace(VIT, decay_all=False), model).param_groups
    names = {id(value): name for name, value in model.named_parameters()}
    decayed = {names[id(value)] for value in groups[0]["params"]}
    assert "head.weight" in decayed and not {"head.bias", "norm.weight", "pos_embed", "cls_token"} & decayed
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (VIT.weight_decay, 0)
    everything = build_optimiser(VIT, model).param_groups
    assert len(everything[0]["params"]) == len(names) and not everything[1]["params"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"batch_size": 10, "accumulation": 4}, "accumulation = 4"),
        ({"output": "s3://bucket/model"}, "s3://bucket/model"),
        ({"size": 0}, "size = 0"),
        ({"size": "128-320:"}, "128-320:32"),
        ({"size": "128-300:32"}, "give 128 to 288 by 32"),
        ({"evaluation_size": 0}, "evaluation_size = 0"),
    ],
)
def test_an_invalid_configuration_raises_an_error(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TrainConfig(**values)


def test_sizes_of_a_run_and_of_its_evaluation() -> None:
    sizes = [{"size": 64}, {"size": "32-64:16"}, {"size": "32-64:16@2"}, {"size": "32-64", "evaluation_size": 48}]
    configs = [TrainConfig(**one) for one in sizes]  # type: ignore[arg-type]
    read = [config.loader_config().size for config in configs]
    assert read == [64, VariedSize(32, 64, 16), ProgressiveSize(32, 64, 2, 16), VariedSize(32, 64)]
    assert [config.loader_config("holdout").size for config in configs] == [64, 64, 64, 48]


def test_a_model_built_for_one_size_is_refused_before_the_run() -> None:
    before, one_size = torch.get_rng_state(), {"img_size": 32, "dynamic_img_size": False}
    for sizes in ({"size": "16-32:16"}, {"size": "16-32:16@1"}, {"evaluation_size": 16}):
        with pytest.raises(ConfigError, match=r"test_vit takes no images of 16 pixels.*dynamic_img_size"):
            check_sizes(replace(VIT, **sizes, model_args=one_size), 3)  # type: ignore[arg-type]
        check_sizes(replace(VIT, **sizes), 3)  # type: ignore[arg-type]
        check_sizes(replace(VIT, **sizes, model="test_resnet", model_args={}), 3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no images of 40 pixels"):  # between sizes that fit
        check_sizes(replace(VIT, size="32-48:8", model_args={}), 3)
    check_sizes(VIT, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_model_raises_an_error_with_similar_names() -> None:
    with pytest.raises(ConfigError, match=r"resnet5000.*resnet50"):
        build_model(TrainConfig(model="resnet5000"), 3)


# ------------------------------------------------------------------------------------------------------------- Accuracy
class Fixed(nn.Module):
    """Computes scores from an image's mean colour, so that a test can compute them too."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, NUM_LABELS)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean((2, 3)))  # type: ignore[no-any-return]


def test_accuracy_equals_counting_by_hand(made: Made) -> None:
    torch.manual_seed(3)
    model, config = Fixed(), replace(VIT, corpus=made.url, batch_size=8)
    right, carried, top1, top5, pictures, chance = {}, {}, 0, 0, 0, 0.0
    with Loader(made.url, config.loader_config("holdout"), World()) as loader:
        for batch in loader:
            order = scores(model, batch, config).argsort(1, descending=True).tolist()
            for row in range(batch.count):
                own = set(batch.labels[row].tolist())
                hit = order[row][0] in own
                top1, top5 = top1 + hit, top5 + bool(own & set(order[row][:5]))
                pictures, chance = pictures + 1, chance + len(own) / NUM_LABELS
                for label in own:
                    carried[label], right[label] = carried.get(label, 0) + 1, right.get(label, 0) + hit
    found = evaluate(model, config, Loader(made.url, config.loader_config("holdout")), "cpu")
    assert pictures == 31 and found["evaluated"] == {"pictures": 31, "holes": 0}
    assert (found["top1"], found["top5"]) == (top1 / 31, top5 / 31)
    assert found["mean_class_accuracy"] == pytest.approx(np.mean([right[label] / carried[label] for label in carried]))
    assert found["chance"] == pytest.approx(chance / 31)
    # the vocabulary has no image counts, so the lowest id is the most frequent
    assert found["majority"] == carried[0] / 31


def test_batch_statistics_see_no_padding(tmp_path: Path) -> None:
    """An epoch of 25 in batches of 24: the last batch has one image, and 23 slots of padding."""
    corpus = make_corpus(tmp_path / "corpus", [25])
    config = replace(VIT, model="test_resnet", model_args={}, steps=None, epochs=1, corpus=corpus.url)
    seen: list[int] = []
    inner = nn.BatchNorm2d.forward

    def forward(self: nn.BatchNorm2d, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return inner(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("timm.layers.norm_act.BatchNormAct2d.forward", forward, raising=False)
        patch.setattr(nn.BatchNorm2d, "forward", forward)
        result = train(replace(config, output=str(tmp_path / "model")))
    assert set(seen) == {24, 2}  # at least two: one value a channel has no variance
    assert set(result) == {"trained"} and result["trained"]["images"] == 25  # no held-out images


# --------------------------------------------------------------------------------------------------- Stopping, resuming
@pytest.fixture(scope="module")
def undisturbed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Runs one process from beginning to end."""
    config = replace(VIT, corpus=made.url, output=str(tmp_path_factory.mktemp("undisturbed")))
    train(config)
    return config


@pytest.fixture(scope="module")
def killed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Starts a run and kills it in its middle."""
    config = replace(VIT, corpus=made.url, output=str(tmp_path_factory.mktemp("killed")))
    with subprocess.Popen(command(config), stdout=subprocess.DEVNULL) as process:
        limit = time.monotonic() + 120
        while len(lines(config.output)) < 7 and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    assert 7 <= len(lines(config.output)) < 90
    return config


def test_a_killed_run_resumes_exactly(undisturbed: TrainConfig, killed: TrainConfig, tmp_path: Path) -> None:
    shutil.copytree(killed.output, tmp_path / "copy")
    with (tmp_path / "copy/metrics.jsonl").open("a") as journal:
        journal.write('{"step": 5, "lo')  # a line truncated by the kill
    train(replace(killed, output=str(tmp_path / "copy")))
    same = ("step", "epoch", "turn", "images", "loss", "lr", "holes")
    found, wanted = lines(tmp_path / "copy"), lines(undisturbed.output)
    assert [[line[name] for name in same] for line in found] == [[line[name] for name in same] for line in wanted]
    assert [line["step"] for line in found] == list(range(1, 91))


OPTIONS: dict[str, dict[str, Any]] = {
    "augmented": {"jitter": (0.4, 0.4, 0.4, 0.1), "randaugment": (2, 9), "mixup": 0.2},
    "several sizes": {"size": "16-32:16"},
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_run_with_options_resumes_exactly(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options = OPTIONS[kind]
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "whole"), steps=8, **options)
    train(config)
    stopped, calls = replace(config, output=str(tmp_path / "stopped")), []

    def stopping(logits: torch.Tensor, terms: Terms) -> torch.Tensor:
        calls.append(terms.weights.sum())
        if len(calls) == 6:
            raise InterruptedError
        return tag_loss(logits, terms)

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr("tagmill.train.tag_loss", stopping)
        train(stopped)
    assert calls[0] == pytest.approx(24) and len(lines(stopped.output)) == 5
    train(stopped)
    found, wanted = ([(line["step"], line["loss"]) for line in lines(run.output)] for run in (stopped, config))
    assert found == wanted and len(found) == 8
    for name in options:
        with pytest.raises(TagmillError, match=f"{name} is"):
            train(replace(stopped, **{name: getattr(VIT, name)}))


def test_two_processes_resume_a_killed_run_of_one(
    undisturbed: TrainConfig, killed: TrainConfig, tmp_path: Path
) -> None:
    shutil.copytree(killed.output, tmp_path / "copy")
    config = replace(killed, output=str(tmp_path / "copy"))
    subprocess.run(command(config, 2), check=True, capture_output=True, timeout=200)
    found, wanted = lines(config.output), lines(undisturbed.output)
    for name in ("step", "epoch", "turn", "images"):
        assert [line[name] for line in found] == [line[name] for line in wanted]
    assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in wanted], rel=1e-3)
    first, second = (json.loads(Path(run.output, "evaluation.json").read_text()) for run in (undisturbed, config))
    assert first["evaluated"] == second["evaluated"] == {"pictures": 31, "holes": 0}


def test_two_processes_and_two_parts_take_the_same_steps_as_one(made: Made, tmp_path: Path) -> None:
    """Plain SGD: equal weights after a few steps require equal gradients. Ranks have 5 to 8 of 12 images."""
    plain = replace(VIT, corpus=made.url, optimiser="sgd", momentum=0.0, steps=5, output=str(tmp_path / "one"))
    divided = replace(plain, accumulation=2, output=str(tmp_path / "two"))
    train(plain)
    subprocess.run(command(divided, 2), check=True, capture_output=True, timeout=200)
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["model"] for name in ("one", "two"))
    torch.manual_seed(plain.seed)
    begun = build_model(plain, NUM_LABELS).state_dict()
    moved = max(float((one[name] - begun[name]).abs().max()) for name in one)
    apart = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert moved > 1e-3 and apart < 1e-5 < moved / 100


# ------------------------------------------------------------------------------------------------------------- Refusals
def test_checkpoints_of_other_runs_are_refused_by_name(undisturbed: TrainConfig, made: Made, tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match=r"lr is 0\.05, this run's is 0\.06.*--resume never"):
        train(replace(undisturbed, lr=0.06))
    other = make_corpus(tmp_path / "other", [40, 30, 20], holdout=[31], seed=1)
    with pytest.raises(TagmillError, match="manifest is"):
        train(replace(undisturbed, corpus=other.url))
    path = Path(undisturbed.output, "checkpoint.pt")
    saved = torch.load(path, weights_only=True)
    forged = {**saved, "identity": {**saved["identity"], "vocabulary": "0" * 64}}
    for content, says in (
        (path.read_bytes()[:5000], "a truncated one"),
        (b"", "a truncated one"),
        (_saved(forged), "vocabulary is '000"),
        (_saved({"model": saved["model"]}), "not a checkpoint"),
        (_saved({**saved, "identity": TrainConfig()}), "not a checkpoint"),  # an object, which is never unpickled
    ):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model/checkpoint.pt").write_bytes(content)
        with pytest.raises(TagmillError, match=says):
            train(replace(undisturbed, output=str(tmp_path / "model")))
    fresh = train(replace(undisturbed, output=str(tmp_path / "model"), resume="never", steps=2))
    assert fresh["trained"]["step"] == 2


def test_a_checkpoint_is_compared_by_the_synsets_of_its_classes(tmp_path: Path) -> None:
    """Names and counts of labels do not matter; older checkpoints, which have the whole file's digest, are accepted
    too."""
    labels = (Label(0, "cat", ("n02121620",), ("cat",), {"cat": 3}, 3), Label(1, "dog", ("n02084071",), ("dog",)))
    here = Vocabulary(labels)
    renamed = Vocabulary((replace(labels[0], name="kitty", images=4), labels[1]))
    config, path = TrainConfig(), tmp_path / "checkpoint.pt"
    wanted = identity(config, here)
    assert identity(config, renamed) == wanted
    assert identity(config, Vocabulary((replace(labels[0], synsets=("n02121808",)), labels[1]))) != wanted
    before = {**wanted, "vocabulary": hashlib.sha256(here.json()).hexdigest()}
    path.write_bytes(_saved({"identity": before}))
    assert restore(path, wanted, here)["identity"] == before
    with pytest.raises(TagmillError, match="vocabulary is"):
        restore(path, identity(config, renamed), renamed)


def _saved(value: object) -> bytes:
    torch.save(value, sink := io.BytesIO())
    return sink.getvalue()


def test_a_loss_that_is_not_finite_stops_the_run_with_its_location(made: Made, tmp_path: Path) -> None:
    config = replace(VIT, corpus=made.url, output=str(tmp_path), lr=1e30, optimiser="sgd", log_every=10)
    with pytest.raises(TagmillError, match=r"the loss is (nan|inf).*step \d of 90, from epoch 0, turn \d+") as caught:
        train(config)
    assert "lower lr" in str(caught.value)
    saved = tmp_path / "checkpoint.pt"
    assert not saved.exists() or all(math.isfinite(line["loss"]) for line in lines(tmp_path))


def test_an_unwritable_output_is_refused_before_training(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TagmillError, match="file"):
        train(replace(VIT, corpus=made.url, output=str(tmp_path / "file" / "model")))
