"""Estimates the hours and bytes of a run: from a sample where there is one, otherwise from committed measurements."""

import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.intervals import Interval, mean_interval
from tagmill.ingest.dry_run.sampling import FetchedSample
from tagmill.shards.storage.store import Store

# The case "tagmill" of bench/results/ingest-2026-11-26.json: 16,000 photographs of about 500 x 375 pixels from loopback,
# stored with a short side of 256 pixels at quality 90, on two cores.
IMAGES_PER_CORE = 304.4  # images per second
STORED_BYTES = 32_757  # of a sample in its tar
STORED_SIDE = 256
REQUEST_SECONDS = 0.5  # of one image at a host of the web: an assumption, which a sample replaces
MOST_HOSTS = 10
ENOUGH_REQUESTS = 5  # of a host in a sample, for a mean of its own


@dataclass(frozen=True)
class HostCost:
    """A host, and how long its URLs take at least."""

    host: str
    urls: int  # of the whole input
    hours: float  # at the limit of requests in flight to one host, and without a crawl delay
    request_seconds: float
    measured: bool  # whether `request_seconds` is of a sample


@dataclass(frozen=True)
class Costs:
    """What a run would cost."""

    urls: int  # to be requested, of the whole input
    rate: float  # images per second
    rate_from: str  # given, cores, or requests (in flight)
    hours: float  # the longer of: all URLs at this rate, and the slowest host
    hosts: int  # at least, since rows that were not read have more
    largest_hosts: tuple[HostCost, ...]  # the most URLs first
    slowest_host: HostCost | None
    stored_bytes: Interval | None  # of all tars; None where it cannot be known without a sample
    downloaded_bytes: Interval | None
    measured: bool  # whether bytes are those of a sample
    peak_bytes: float | None  # in the output while a run is packing: images are in parts and in tars then
    free_bytes: int | None  # on the disk of a local output


def costs_of(
    config: IngestConfig,
    hosts: Mapping[str, int],
    urls: int,
    scale: float,
    rate: float | None,
    fetched: FetchedSample | None,
) -> Costs:
    """Estimates the costs of `urls` requests; `hosts` counts the URLs that were read, `scale` is all rows by those."""
    stored, downloaded = _bytes(config, urls, fetched)
    seconds, by_host = _request_seconds(fetched)
    speed, source = _rate(config, rate, seconds, bool(hosts))
    largest = [_host(config, host, count * scale, seconds, by_host) for host, count in hosts.items()]
    slowest = max(largest, key=lambda each: (each.hours, each.host), default=None)
    largest.sort(key=lambda each: (-each.urls, each.host))
    return Costs(
        urls=urls,
        rate=speed,
        rate_from=source,
        hours=max(urls / speed / 3600, slowest.hours if slowest else 0.0),
        hosts=len(hosts),
        largest_hosts=tuple(largest[:MOST_HOSTS]),
        slowest_host=slowest,
        stored_bytes=stored,
        downloaded_bytes=downloaded,
        measured=fetched is not None,
        peak_bytes=None if stored is None else 2 * stored.value,
        free_bytes=_free(config.output),
    )


def _bytes(config: IngestConfig, urls: int, fetched: FetchedSample | None) -> tuple[Interval | None, Interval | None]:
    if fetched is not None:
        stored = mean_interval([each.stored_bytes for each in fetched.images], urls)
        return stored.times(urls), mean_interval([each.body_bytes for each in fetched.images], urls).times(urls)
    if config.resize == "no":
        return None, None
    assumed = urls * STORED_BYTES * (config.image_size / STORED_SIDE) ** 2
    return Interval(0.0, assumed, assumed), None


def _request_seconds(fetched: FetchedSample | None) -> tuple[float | None, dict[str, float]]:
    """Returns the mean of the sample, and of each host with ENOUGH_REQUESTS in it."""
    by_host: dict[str, list[float]] = defaultdict(list)
    for each in fetched.images if fetched else ():
        if each.host:
            by_host[each.host].append(each.seconds)
    number = sum(map(len, by_host.values()))
    mean = sum(map(sum, by_host.values())) / number if number else None
    return mean, {host: sum(some) / len(some) for host, some in by_host.items() if len(some) >= ENOUGH_REQUESTS}


def _rate(config: IngestConfig, given: float | None, seconds: float | None, web: bool) -> tuple[float, str]:
    if given is not None:
        return given, "given"
    cores = config.processes * IMAGES_PER_CORE
    requests = config.concurrency / max(seconds or REQUEST_SECONDS, 1e-3)
    return (requests, "requests") if web and requests < cores else (cores, "cores")


def _host(
    config: IngestConfig, host: str, urls: float, seconds: float | None, by_host: Mapping[str, float]
) -> HostCost:
    mean = by_host.get(host, seconds)
    each = REQUEST_SECONDS if mean is None else mean
    gap = max(each / config.host_concurrency, config.host_delay)
    return HostCost(host, round(urls), urls * gap / 3600, each, mean is not None)


def _free(output: str) -> int | None:
    """Returns the free bytes of the disk that the output would be on; None for a bucket."""
    place = Store(output).root
    if place is None:
        return None
    there = next((each for each in [place, *place.parents] if each.is_dir()), None)
    return None if there is None else shutil.disk_usage(there).free
