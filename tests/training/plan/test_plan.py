"""Tests what is said of a run before it starts."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tagmill.training.plan.plan
from tagmill.train import train
from tagmill.training.plan.plan import rates
from tagmill.training.step.schedule import learning_rate
from tests.pipeline.corpora import make_corpus
from tests.training.runs import VIT


def test_a_dry_run_plans_for_other_processes_and_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_corpus(tmp_path, [40, 30, 20], holdout=[3])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=3, warmup_steps=7)
    found = train(replace(config, batch_size=96, processes=4, accumulation=2, memory_limit=1))
    said = capsys.readouterr().out
    assert "processes  4 on cpu" in said and "in 2 parts, 32 pixels" in said and "GiB of the loader" in said
    assert "\ndevice     0.0" in said and "and activations\n" in said
    assert "WARNING    a step of 96 images is more than an epoch has (90)" in said
    assert "the warm-up of 672 images is not over when the run ends, after 288 images" in said
    assert found["steps"] == 3 and len(found["warnings"]) == 2 and not (tmp_path / "model").exists()
    assert train(replace(config, warmup_steps=0, steps=9))["warnings"] == ()


def test_memory_that_a_device_has_not_and_parts_of_one_image_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_corpus(tmp_path, [40, 30, 20], holdout=[3])
    plain = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=3)
    normalised = replace(plain, model="test_resnet", model_args={})
    assert train(replace(plain, accumulation=16))["warnings"] == ()
    (text,) = train(replace(normalised, accumulation=16))["warnings"]
    assert text == "batch normalisation needs 2 images at a time: 24 a process make 12 parts, not 16"
    assert train(replace(normalised, accumulation=12))["warnings"] == ()
    monkeypatch.setattr(tagmill.training.plan.plan, "memory_of", lambda device: 1 << 20)
    (text,) = train(plain)["warnings"]
    assert "GiB of a device's 0.0: give --parallel fsdp, more parts" in text
    monkeypatch.setattr(tagmill.training.plan.plan, "memory_of", lambda device: 1 << 40)
    assert train(plain)["warnings"] == ()


def test_an_average_that_hardly_moves_is_warned_of(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [40, 30, 20], holdout=[5])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=10)  # 240 images
    (text,) = train(replace(config, ema=240))["warnings"]
    assert text.startswith("at the end 50% of the average") and "below the run's 240 images" in text
    assert train(replace(config, ema=48))["warnings"] == ()


def test_a_warm_up_that_goes_down_is_warned_of(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [40, 30, 20], holdout=[5])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=10, warmup_steps=2)
    # As in a recipe of the papers that is given a small batch: a peak of 0.1 x 24 / 256.
    (text,) = train(replace(config, lr=0.1, lr_batch_size=256, warmup_lr=0.1))["warnings"]
    assert text.startswith("the warm-up begins at a rate of 0.1, above its end, 0.009375: give a lower --warmup-lr")
    assert train(replace(config, lr=0.1, warmup_lr=0.1))["warnings"] == ()
    assert train(replace(config, lr=0.1, lr_batch_size=256, warmup_lr=0.1, warmup_steps=0))["warnings"] == ()


@given(steps=st.integers(1, 2000), warmup=st.integers(0, 3000), halvings=st.integers(1, 20))
def test_the_points_are_those_of_the_schedule(steps: int, warmup: int, halvings: int) -> None:
    config = replace(VIT, steps=steps, warmup_steps=warmup, schedule="halvings", halvings=halvings)
    pairs = [each.split(" at ") for each in rates(config, steps, 7).removesuffix(" images").split(", ")]
    points = [int(position.replace(",", "")) // 24 for _, position in pairs]
    assert points == sorted(set(points)) and len(points) <= 6
    assert (points[0], points[-1]) == (0, steps - 1) and (min(warmup, steps - 1) in points)
    for (rate, _), step in zip(pairs, points, strict=True):
        assert float(rate) == pytest.approx(learning_rate(config, step, steps, 7), rel=5e-3)


def test_a_corpus_without_held_out_images_is_warned_of(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [20])
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), dry_run=True, steps=2, batch_size=8)
    (warning,) = train(config)["warnings"]
    assert "no held-out images" in warning and "--holdout N" in warning
