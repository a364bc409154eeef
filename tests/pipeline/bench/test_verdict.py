"""Tests the sentence on the bottleneck, and the plan for some GPUs against the forecast."""

import shlex
from pathlib import Path

import pytest

from tagmill.pipeline import LoaderConfig
from tagmill.pipeline.bench.rates import MeasuredRate, MeasuredRound
from tagmill.pipeline.bench.verdict import BackendRates, plan_for
from tagmill.pipeline.forecast.plan_command import PLAN_COMMAND, forecast
from tests.pipeline.corpora import make_corpus


def rate(name: str, images: float, fastest: float | None = None) -> MeasuredRate:
    return MeasuredRate(name, images, images, fastest or images, 1e6, 0.25)


@pytest.mark.parametrize(
    ("reading", "decoding", "whole", "said"),
    [
        (50_000, 10_000, 9_800, "the bottleneck is decoding: decoding alone makes 10,000 images/s and reading alone 50,000"),
        (2_000, 10_000, 1_990, "the bottleneck is reading: reading alone makes 2,000 images/s and decoding alone 10,000"),
        (12_000, 10_000, 6_000, "the bottleneck is the 2 cores, which reading and decoding share"),
        (10_000, 10_000, 9_900, "reading and decoding are equally fast"),
    ],
)  # fmt: skip
def test_the_bottleneck(reading: float, decoding: float, whole: float, said: str) -> None:
    both = BackendRates(rate("decoding", decoding), rate("whole", whole))
    text = both.verdict(rate("reading", reading), 2)
    assert said in text and f"{whole:,.0f}" in text and "\n" not in text


def test_noise_supports_no_conclusion() -> None:
    both = BackendRates(rate("decoding", 10_000), rate("whole", 9_000, fastest=11_000))
    text = both.verdict(rate("reading", 50_000), 2)
    assert text.startswith("too noisy for a conclusion: whole differs by 22%") and "bottleneck" not in text


def test_the_plan_is_what_its_command_says(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "a corpus", [40])
    whole = MeasuredRate.of("whole", [MeasuredRound(3000, 3_000_000, 1.0, 0.6)])
    found = plan_for(LoaderConfig(batch_size=2), made.url, whole, 12, 8, 500.0, "cpu")
    assert found.fed_here == 6 and found.nodes == 2
    assert found.node_cores == pytest.approx(8 * 500 * 0.2 / 1000)
    words = shlex.split(found.command)
    assert words[:3] == ["tagmill", "corpus", "plan"]
    asked, _ = PLAN_COMMAND.parse(words[3:])
    assert asked.corpus == made.url and forecast(asked).node_bytes == found.node_bytes
    assert "12 GPUs of 500 images/s: 2 nodes" in found.text()
