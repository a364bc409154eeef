"""Tests the last screen: its verdict and its figures."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tagmill.demo.screen import summary_screen, verdict

SUMMARY: dict[str, Any] = {
    "rows": 3000,
    "samples": 2654,
    "splits": {"train": 2354, "holdout": 300},
    "rejects": {"duplicate": 256, "truncated": 26, "timeout": 64, "near_duplicate": 71, "evaluation": 23},
    "duplicates": 256,
    "labels": 42,
    "loader": {"cpu": 2100.0, "dali": 1900.0},
    "top1": 0.6,
    "top5": 0.9,
    "mean_class_accuracy": 0.5,
    "majority": 0.08,
    "chance": 0.03,
    "example": {
        "image": "out/demo/unseen.jpg",
        "model": "out/demo/model/model",
        "labels": [["sailboat", 0.81], ["whale", 0.1], ["duck", 0.02]],
    },
    "seconds": {"web": 30.0, "train": 120.0},
}


@pytest.mark.parametrize(
    ("change", "learned"),
    [
        ({}, True),
        ({"top1": 0.14}, False),  # less than 5 times chance
        ({"majority": 0.31}, False),  # less than 2 times the majority
        ({"mean_class_accuracy": 0.1}, False),
    ],
)
def test_learned_means_all_three(change: dict[str, float], learned: bool) -> None:
    found, sentence = verdict(SUMMARY | change)
    assert found is learned
    assert ("did not learn" in sentence) is not learned


def test_the_screen_shows_what_happened() -> None:
    console = Console(record=True, width=110, file=io.StringIO())
    summary_screen(console, SUMMARY, Path("out/demo/summary.json"))
    text = console.export_text()
    for told in (
        "3,000",
        "2,654",
        "256",
        "71",
        "23",
        "90  broken answers",
        "64 timeout, 26 truncated",
        "42",
        "60.0%",
        "2,100",
        "81%  sailboat is what the model sees in one unseen image (10% whale, 2% duck)",
        "tagmill predict out/demo/model/model out/demo/unseen.jpg",
        "out/demo/summary.json",
    ):
        assert told in text, told


def test_without_the_majority_label_there_is_no_comparison() -> None:
    figures = {"top1": 0.5, "chance": 0.1, "majority": 0.0, "mean_class_accuracy": 0.5}
    assert verdict(figures) == (True, "the model learned: 5.0 times chance")
