"""Tests the parsing of the GPU's use as nvidia-smi reports it."""

import time

import pytest

from tagmill.bench.gpu import watch


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("97, 43, 2210\n", (97.0, 43.0, 2210.0)),
        ("97, [N/A], 2210", (97.0, None, 2210.0)),
        ("", None),
        ("No devices were found", None),
    ],
)
def test_a_line(line: str, found: object) -> None:
    assert watch.parse(line) == found


def test_means_and_the_most_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["50, [N/A], 100", "", "100, [N/A], 300", *["75, [N/A], 200"] * 10_000])
    monkeypatch.setattr(watch, "EVERY", 0.001)
    monkeypatch.setattr(watch, "ask", lambda index: next(lines))
    with watch.Watch("cuda:0") as seen:
        while len(seen._samples) < 4:
            time.sleep(0.001)
    figures = seen.figures()
    assert 50 < figures["gpu_utilisation_percent"] < 100 and figures["gpu_memory_bytes"] == 300 << 20
    assert "jpeg_engine_percent" not in figures


def test_on_a_cpu_there_are_no_figures() -> None:
    with watch.Watch("cpu") as seen:
        pass
    assert seen.figures() == {}
