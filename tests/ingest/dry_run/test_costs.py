"""Hours and bytes: the slower of machine and requests, the slowest host, and what a sample measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run import costs
from tagmill.ingest.dry_run.costs import Costs, costs_of
from tagmill.ingest.dry_run.sampling import FetchedSample, Measured

BENCH = Path(__file__).parents[3] / "bench" / "results" / "ingest-2026-11-26.json"
HOSTS = {"large.example": 900, "small.example": 100}


def cost(rate: float | None = None, fetched: FetchedSample | None = None, **settings: Any) -> Costs:
    config = IngestConfig(input=("a.txt",), output=settings.pop("output", "out"), **{"processes": 1, **settings})
    return costs_of(config, HOSTS, 1_000_000, 1000.0, rate, fetched)


def test_the_assumed_figures_are_those_of_the_committed_measurement() -> None:
    measured = json.loads(BENCH.read_text())
    case = measured["cases"]["tagmill"]
    assert pytest.approx(case["median"] / measured["machine"]["cores"], rel=1e-3) == costs.IMAGES_PER_CORE
    assert pytest.approx(case["tar_bytes"] / case["samples"], rel=1e-3) == costs.STORED_BYTES


def test_the_hours_are_those_of_the_slowest_of_machine_requests_and_host() -> None:
    by_requests = cost()
    assert (by_requests.rate, by_requests.rate_from) == (64 / costs.REQUEST_SECONDS, "requests")
    by_cores = cost(concurrency=1000)
    assert (by_cores.rate, by_cores.rate_from) == (costs.IMAGES_PER_CORE, "cores")
    slow = by_cores.slowest_host
    assert slow is not None and (slow.host, slow.urls, slow.measured) == ("large.example", 900_000, False)
    assert slow.hours == 900_000 * costs.REQUEST_SECONDS / 16 / 3600 == by_cores.hours
    given = cost(rate=10.0)
    assert (given.rate_from, given.hours) == ("given", 1_000_000 / 10 / 3600)
    delayed = cost(host_delay=2.0).slowest_host
    assert delayed is not None and delayed.hours == 900_000 * 2.0 / 3600


def test_a_sample_replaces_what_is_assumed() -> None:
    images = [Measured(None, "small.example", 4.0, 100_000, 500, 400, 20_000)] * 5
    images += [Measured("not_found", "large.example", 1.0, 0)] * 5
    found = cost(fetched=FetchedSample(images, 3.0))
    assert found.measured and found.stored_bytes is not None and found.downloaded_bytes is not None
    assert found.stored_bytes.value == pytest.approx(10_000 * 1e6)
    assert found.stored_bytes.low < found.stored_bytes.value < found.stored_bytes.high
    assert found.downloaded_bytes.value == pytest.approx(50_000 * 1e6)
    by_host = {each.host: each.request_seconds for each in found.largest_hosts}
    assert by_host == {"large.example": 1.0, "small.example": 4.0}
    assert found.rate == pytest.approx(64 / 2.5) and found.rate_from == "requests"


def test_stored_bytes_grow_with_the_pixels_and_are_unknown_without_a_size() -> None:
    small, large = (cost(image_size=size).stored_bytes for size in (256, 512))
    assert small is not None and large is not None and large.value == 4 * small.value
    unknown = cost(resize="no")
    assert unknown.stored_bytes is None and unknown.peak_bytes is None


def test_free_space_is_that_of_the_disk_of_the_output(tmp_path: Path) -> None:
    assert (cost(output=str(tmp_path / "not" / "there")).free_bytes or 0) > 0
    assert cost(output="s3://bucket/corpus").free_bytes is None
    assert not (tmp_path / "not").exists()
