"""Fetches a sample of the requests under the manners of a run, and measures what comes; nothing is kept or written."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import Request
from tagmill.ingest.fetch.fetcher import Fetcher, FetchState
from tagmill.ingest.fetch.robots_cache import RedirectCache, RobotsCache
from tagmill.ingest.filters.listed_digests import decided, marks_altered
from tagmill.ingest.filters.pinned import Forbidden
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.parts.make import columns_of, run_all
from tagmill.ingest.parts.ranged_reads import LocationReader
from tagmill.ingest.parts.table import BEFORE_FETCH, record_of
from tagmill.ingest.similarity.hash_files import near_pairs
from tagmill.shards.formats.shard_index import sample_bytes
from tagmill.shards.progress.protocol import Progress


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one request; the fields after `body_bytes` are of images that would be stored."""

    reason: str | None
    host: str
    seconds: float  # of its deadline, without the wait for a slot at its host
    body_bytes: int  # 0 where there is no body
    width: int = 0  # of the original, upright
    height: int = 0
    stored_bytes: int = 0  # in a tar, with headers and facts
    sha256: str = ""
    pdq: tuple[int, ...] = ()
    pdq_quality: int = 0
    row_id: int = 0


@dataclass(frozen=True)
class FetchedSample:
    """A fetched sample."""

    images: list[Measured]
    seconds: float  # of the clock


def choose_sample(requests: Sequence[Request], count: int) -> list[Request]:
    """Returns `count` requests by the hash that partitions rows: a function of seed and URLs."""
    return sorted(requests, key=lambda each: (each.order, each.row["row_id"]))[:count]


def fetch_sample(
    config: IngestConfig, requests: Sequence[Request], forbidden: Forbidden, progress: Progress
) -> FetchedSample:
    """Fetches and decodes the requests; as many are in flight as in a run.

    Memory holds a body per request in flight, and of an image only what `Measured` has.
    """
    begun = time.perf_counter()
    images = asyncio.run(_fetch(config, requests, forbidden, progress))
    return FetchedSample(images, time.perf_counter() - begun)


async def _fetch(
    config: IngestConfig, requests: Sequence[Request], forbidden: Forbidden, progress: Progress
) -> list[Measured]:
    found: list[Measured] = []
    todo: Iterator[Request] = iter(requests)
    robots = RobotsCache({}, _no_long_rules, RedirectCache(config.robots_max_age)) if config.honour_robots else None
    in_flight = max(1, min(config.concurrency, len(requests)))
    decoders = Decoders(dataclasses.replace(config, decoders=config.decoders * config.processes), config.max_bytes)

    async def work(fetcher: Fetcher, reader: LocationReader) -> None:
        for request in todo:
            if request.location is None:
                fetched = await fetcher.fetch(request.url)
            else:
                (fetched,) = await reader.read([request.location])
            found_columns, jpeg = await columns_of(fetched, decoders, config, forbidden)
            columns, _ = decided(request.row, found_columns, marks=marks_altered(config))
            size = 0 if fetched.body is None else len(fetched.body)
            found.append(_measured(request, columns, jpeg, fetched.seconds, size))
            progress.advance(1, **{columns["reason"] or "ok": 1})

    try:
        with decoders, LocationReader(config.max_bytes, in_flight) as reader:
            async with Fetcher(config, 1, FetchState(config), robots) as fetcher:
                await run_all(work(fetcher, reader) for _ in range(in_flight))
    finally:
        decoders.end()
    return found


def _no_long_rules(sha256: str) -> str:
    raise AssertionError(f"rules {sha256} were not stored apart")  # only answers of an earlier stage are


def _measured(
    request: Request, columns: dict[str, object], jpeg: bytes | None, seconds: float, body_bytes: int
) -> Measured:
    reason = columns["reason"]
    if jpeg is None or reason is not None:
        return Measured(str(reason), request.host, seconds, body_bytes)
    line = {name: value for name, value in {**request.row, **columns}.items() if name not in BEFORE_FETCH}
    return Measured(
        reason=None,
        host=request.host,
        seconds=seconds,
        body_bytes=body_bytes,
        width=line["original_width"],
        height=line["original_height"],
        stored_bytes=sample_bytes(len(jpeg), len(record_of(line).json())),
        sha256=line["sha256"],
        pdq=tuple(line[f"pdq{word}"] for word in range(4)),
        pdq_quality=line["pdq_quality"],
        row_id=line["row_id"],
    )


def near_duplicates(images: Sequence[Measured], threshold: int, quality: int) -> tuple[int, int]:
    """Returns (pairs of images within `threshold` bits, images that yield), equal bytes counted once.

    All pairs are compared. The better image is that of more pixels; one is left out if a better one that stays is near
    it, as in `dedup/greedy_mis.py`.
    """
    distinct = {image.sha256: image for image in sorted(images, key=_rank, reverse=True)}
    ranked = sorted((each for each in distinct.values() if each.pdq_quality >= quality), key=_rank)
    if threshold < 0 or len(ranked) < 2:
        return 0, 0
    words = np.array([each.pdq for each in ranked], np.int64).view(np.uint64)
    gone = np.zeros(len(ranked), np.bool_)
    pairs = 0
    for better in range(len(ranked) - 1):
        near, _ = near_pairs(words[better][None], words[better + 1 :], threshold)
        pairs += len(near)
        if not gone[better]:
            gone[better + 1 + near] = True
    return pairs, int(gone.sum())


def _rank(image: Measured) -> tuple[int, str, int]:
    return -image.width * image.height, image.sha256, image.row_id


def repeated_bytes(images: Sequence[Measured]) -> int:
    """Returns how many images have the bytes of another one."""
    return len(images) - len(Counter(image.sha256 for image in images))
