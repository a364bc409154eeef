"""Makes the estimate: reads a part of the input, judges it, matches its tags, fetches a sample where one is asked for."""

from collections.abc import Sequence

import numpy as np

from tagmill.ingest.commit import default_view_rules
from tagmill.ingest.config.dry_run import DryRunOptions
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import BeforeFetch, judge_rows
from tagmill.ingest.dry_run.costs import Costs, costs_of
from tagmill.ingest.dry_run.findings import Column, ExampleRow, Findings, SampleFindings
from tagmill.ingest.dry_run.intervals import share_interval
from tagmill.ingest.dry_run.reading import RowsRead, read_rows
from tagmill.ingest.dry_run.sampling import (
    FetchedSample,
    Measured,
    choose_sample,
    fetch_sample,
    near_duplicates,
    repeated_bytes,
)
from tagmill.ingest.dry_run.tags import expected_labels
from tagmill.ingest.filters.blocklist import read_blocklists
from tagmill.ingest.filters.pinned import Forbidden
from tagmill.ingest.filters.takedown_rules import Denylist, read_denylist
from tagmill.ingest.http.proxy import PROXY_WARNING, Proxies
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.reasons import commonest
from tagmill.ingest.restart_interval import with_interval
from tagmill.shards.errors import ConfigError
from tagmill.shards.manifest import CORPUS, Corpus
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store

EXAMPLES = 5
EXAMPLE_CHARS = 200
EXAMPLE_TAGS = 10
COLUMNS_LISTED = 50
_QUANTILES = (10, 50, 90)


def dry_run(config: IngestConfig, options: DryRunOptions, progress: Progress | None = None) -> Findings:
    """Returns what an ingest of this config would do. Writes nothing, and requests no image without `options.sample`.

    Lists, takedown lists and blocklists in stores are read. Raises what a run raises before it partitions rows.
    """
    progress = progress or Silent()
    if options.sample is not None and config.columns.image is not None:
        what = "a dry run does not decode images that are inside Parquet"
        raise ConfigError(what, "--sample", "leave it out, or ingest the first rows: --limit 1000")
    store = Store(config.output)
    config, warnings = with_interval(config, store), list[str]()
    rules = default_view_rules(config)
    rules.vocabulary.file_labels()
    forbidden = Forbidden(
        read_denylist(config.takedown) | _base_rules(config, store, warnings), read_blocklists(config.blocklist)
    )
    progress.stage("read")
    read = read_rows(config)
    scale = read.total / max(1, len(read.rows))
    found = judge_rows(read.rows, config, forbidden.denied)
    tags = expected_labels(found, config, rules, scale)
    urls = min(read.total, round(len(found.requests) * scale))
    fetched = None
    if options.sample is not None and found.requests:
        chosen = choose_sample(found.requests, options.sample)
        if Proxies.from_environment() and not config.allow_private:
            warnings.append(PROXY_WARNING)
        progress.stage("sample", len(chosen))
        fetched = fetch_sample(config, chosen, forbidden, progress)
    costs = costs_of(config, found.hosts, urls, scale, options.rate, fetched)
    columns, unused = _columns(config, read)
    return Findings(
        rows=read.total,
        rows_exact=read.exact,
        rows_at_least=read.at_least,
        rows_read=len(read.rows),
        inputs=read.inputs,
        inputs_read=read.inputs_read,
        columns=columns,
        unused_columns=unused,
        examples=_examples(read, forbidden.denied),
        rejects=commonest(found.rejects),
        repeated=found.repeated,
        requests=len(found.requests),
        tags=tags,
        costs=costs,
        sample=_sample_findings(config, fetched, urls) if fetched else None,
        warnings=(*warnings, *read.warnings, *_warnings(config, options, read, found, costs)),
    )


def _base_rules(config: IngestConfig, store: Store, warnings: list[str]) -> Denylist:
    """Returns the takedown rules of the corpus that is extended; warns of what an output stops or changes."""
    there = store.exists(CORPUS)
    if config.extend and not there:
        raise ConfigError("there is no corpus to extend", config.output, "make it first, without --extend")
    if config.extend:
        warnings.append("URLs that the corpus has already are counted like the others; a run does not fetch them again")
        return Denylist.of(Corpus.open(config.output).takedown)
    if there:
        warnings.append(f"there is a corpus at {config.output}: give another output, or add --extend")
    return Denylist()


def _columns(config: IngestConfig, read: RowsRead) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    chosen, by_preset = config.columns, config.reading.columns
    found = list[Column]()
    for used_as in ("url", "tags", "caption", "licence", "page", "sha256", "md5"):
        name = getattr(chosen, used_as)
        if name is None or (read.columns and name not in read.columns):
            continue
        preset = f"--preset {config.preset}" if config.preset and getattr(by_preset, used_as) == name else "default"
        given = getattr(config, f"{used_as}_column") is not None
        found.append(Column(name, used_as, f"--{used_as}-column" if given else preset))
    found += [Column(name, "extra", "--extra-columns") for name in chosen.extra]
    found += [Column(name, "condition", "--where") for name in chosen.where]
    used = {column.name for column in found}
    return tuple(found), tuple(name for name in read.columns if name not in used)[:COLUMNS_LISTED]


def _examples(read: RowsRead, denied: Denylist) -> tuple[ExampleRow, ...]:
    found = list[ExampleRow]()
    for row in read.rows.slice(0, 20 * EXAMPLES).select(["url", "tags"]).to_pylist():
        if len(found) < EXAMPLES and not denied.url(normalise(row["url"] or "")):
            url = None if row["url"] is None else row["url"][:EXAMPLE_CHARS]
            found.append(ExampleRow(url, tuple(tag[:EXAMPLE_CHARS] for tag in row["tags"][:EXAMPLE_TAGS])))
    return tuple(found)


def _sample_findings(config: IngestConfig, fetched: FetchedSample, urls: int) -> SampleFindings:
    every = fetched.images
    images = [each for each in every if each.reason is None]
    success = share_interval(len(images), len(every), urls)
    pairs, yielding = near_duplicates(images, config.near_threshold, config.near_quality)
    return SampleFindings(
        requests=len(every),
        images=len(images),
        success=success,
        rejects=commonest(_reasons(every)),
        seconds=fetched.seconds,
        rate=len(every) / max(fetched.seconds, 1e-3),
        request_seconds=sum(each.seconds for each in every) / len(every),
        body_bytes=_quantiles([each.body_bytes for each in images]),
        shorter_side=_quantiles([min(each.width, each.height) for each in images]),
        longer_side=_quantiles([max(each.width, each.height) for each in images]),
        stored_bytes=_quantiles([each.stored_bytes for each in images]),
        same_bytes=repeated_bytes(images),
        near_pairs=pairs,
        near_duplicates=yielding,
        expected_images=success.times(urls),
        expected_near_pairs=pairs * (urls * (urls - 1)) / max(1, len(every) * (len(every) - 1)),
    )


def _reasons(every: Sequence[Measured]) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in every:
        if each.reason is not None:
            found[each.reason] = found.get(each.reason, 0) + 1
    return found


def _quantiles(values: Sequence[int]) -> dict[str, float]:
    if not values:
        return {}
    ranks = np.percentile(np.array(values), _QUANTILES).tolist()
    return {"mean": sum(values) / len(values), **{f"{q}%": rank for q, rank in zip(_QUANTILES, ranks, strict=True)}}


def _warnings(
    config: IngestConfig, options: DryRunOptions, read: RowsRead, found: BeforeFetch, costs: Costs
) -> list[str]:
    """Returns what a user should know before a run."""
    told = []
    if not found.requests:
        told.append("none of the rows that were read would be requested: see the rejects")
    if read.at_least:
        told.append("the input has more rows than were read, and how many is not known before all of it is listed")
    if options.sample is not None and options.sample > len(found.requests):
        told.append(f"the sample has {len(found.requests):,} requests, all of the rows that were read")
    slow = costs.slowest_host
    if slow is not None and slow.hours > 1.0 and slow.hours > 1.5 * costs.urls / costs.rate / 3600:
        told.append(
            f"one host decides how long the run takes: {slow.host}. More requests at once there (--host-concurrency) "
            "need its consent"
        )
    if costs.free_bytes is not None and costs.peak_bytes is not None and costs.peak_bytes > costs.free_bytes:
        told.append("the disk of the output has less free space than a run takes")
    if config.holdout >= max(1, costs.urls):
        told.append(f"--holdout {config.holdout:,} takes every image: none is left for training")
    return told
