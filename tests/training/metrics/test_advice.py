"""Tests the warnings of a result that is probably not meant."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tagmill.training.metrics.advice import Advice
from tests.training.runs import VIT

QUIET = {"seconds": 10.0, "waited_share_slowest": 0.1, "slowest_rank": 0, "holes": 0, "loss": 2.0}


def advice(
    guess: float | None = None, steps: int = 100, rank: int = 0, bottleneck: str = "decoding", **changes: Any
) -> Advice:
    """Advice on a run of some steps."""
    meters = SimpleNamespace(bottleneck=lambda: bottleneck, top_reasons=lambda: "3 undecodable")
    loader: Any = SimpleNamespace(meters=meters, world=SimpleNamespace(rank=rank))
    return Advice(replace(VIT, **changes), steps, loader, guess)


def said(each: Advice, lines: list[dict[str, Any]], images: int = 1000, labels: int = 1) -> list[str]:
    numbered = [{"step": step, **QUIET, **line} for step, line in enumerate(lines, 1)]
    return [text for line in numbered for text in each.on(line, images, labels)]


def test_images_without_any_label_are_warned_of_once() -> None:
    (text,) = said(advice(), [{}, {}], images=24, labels=0)
    assert text.startswith("none of the 24 images so far has a label") and "corpus view" in text
    assert said(advice(), [{}, {}], images=24) == said(advice(), [{}], images=0, labels=0) == []


def test_waiting_is_warned_of_once_and_the_start_does_not_count() -> None:
    start, late = {"waited_share_slowest": 1.0}, {"waited_share_slowest": 0.5}
    assert said(advice(), [start, {}, {}]) == []
    (text,) = said(advice(), [start, late, late])
    assert "waits 50% of the time" in text and "bottleneck is decoding: more processor cores" in text
    (text,) = said(advice(bottleneck="reading"), [start, late])
    assert "bottleneck is reading: a faster or nearer store" in text
    (text,) = said(advice(), [start, {**late, "slowest_rank": 3}])
    assert "longest on rank 3" in text and "bottleneck" not in text
    assert said(advice(), [start, late], images=499) == [], "too few images to judge"


def test_holes_are_warned_of_with_their_reasons() -> None:
    (text,) = said(advice(), [{"holes": 5}, {"holes": 16}, {"holes": 16}])
    assert text.startswith("1.1% of the images are holes: 3 undecodable") and "corpus lint" in text
    assert said(advice(), [{"holes": 10}, {"holes": 10}]) == []


def test_a_loss_of_a_constant_guess_is_warned_of_after_the_warm_up_and_a_tenth() -> None:
    lines = [{"loss": 2.5}] * 40
    (text,) = said(advice(2.5, warmup_steps=20), lines)
    assert "at step 28 is 2.500, not below that of a constant guess, 2.500" in text
    assert said(advice(2.6), lines) == said(advice(None), lines) == said(advice(2.5, shuffle_labels=True), lines) == []
    learnt = [{"loss": 9.0}] * 9 + [{"loss": 2.4}] + [{"loss": 9.0}] * 30
    assert said(advice(2.5), learnt) == [], "asked once, not at every line"
