"""Tests the clock of a worker: what is counted, and that all loaders must deliver the same."""

import argparse
import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from tagmill.bench.peers import stopwatch

OPTIONS = argparse.Namespace(output="uint8", batch=4, warm=2, batches=3, seconds=0.0, device="cpu")


def picture(output: str, batch: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if output == "float32":
        return torch.randn((batch, 3, 224, 224), generator=generator)
    return torch.randint(0, 256, (batch, 3, 224, 224), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("output", ["uint8", "float32"])
def test_the_required_output_is_accepted(output: str) -> None:
    stopwatch.check(picture(output), argparse.Namespace(output=output, batch=4))


@pytest.mark.parametrize(
    "wrong",
    [
        picture("uint8", 3),
        picture("float32"),
        picture("uint8").permute(0, 2, 3, 1),
        torch.zeros((4, 3, 224, 224), dtype=torch.uint8),
        torch.full((4, 3, 224, 224), 128, dtype=torch.uint8),
    ],
)
def test_anything_else_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(SystemExit):
        stopwatch.check(wrong, OPTIONS)


def test_floats_that_are_not_normalised_are_refused() -> None:
    with pytest.raises(SystemExit, match="not those of photographs"):
        stopwatch.check(255 * picture("float32").abs(), argparse.Namespace(output="float32", batch=4))


def test_only_batches_after_the_warm_up_are_counted() -> None:
    handed_out = 0

    def batches(_: argparse.Namespace) -> Iterator[int]:
        nonlocal handed_out
        while True:
            handed_out += 1
            yield 10

    found = stopwatch.measure(batches, OPTIONS, lambda: {"seen": float(handed_out)})
    assert handed_out == OPTIONS.warm + OPTIONS.batches
    assert found["seen"] == OPTIONS.batches  # for a counter, its growth during the measurement
    assert found["images_per_second"] == pytest.approx(10 * OPTIONS.batches / found["seconds"])
    assert 0 <= found["first_batch_seconds"] <= found["process_start_to_first_batch_seconds"]


def test_a_fast_loader_is_measured_for_as_long() -> None:
    options = argparse.Namespace(**{**vars(OPTIONS), "seconds": 0.1})
    found = stopwatch.measure(lambda _: itertools.repeat(10), options, dict)
    assert found["seconds"] >= 0.1 and found["images_per_second"] * found["seconds"] > 10 * 3 * 10


def test_counters_of_a_store_that_grow_are_reported() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"requests": 7, "most_in_flight": 3}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    assert stopwatch.store_totals(None) == {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert stopwatch.store_totals(f"http://127.0.0.1:{server.server_port}/counts") == {"requests": 7}
        server.shutdown()
