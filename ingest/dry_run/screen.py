"""The findings of a dry run as text for a terminal of 80 columns."""

import math
from collections.abc import Callable, Iterator
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from tagmill.ingest.dry_run.costs import STORED_BYTES, STORED_SIDE, Costs
from tagmill.ingest.dry_run.findings import Findings, SampleFindings
from tagmill.ingest.dry_run.intervals import Interval
from tagmill.shards.terminal.safe_text import safe_text

WIDTH = 79
_LABEL = 13  # columns of the names on the left
_SHOWN_HOSTS = 3
_CONSOLE = Console(width=WIDTH)
_RATES = {
    "given": "--rate",
    "cores": "what this machine's cores do; --rate",
    "requests": "--concurrency divided by the seconds of a request; --rate",
}


def screen(found: Findings) -> str:
    """Returns the text, lines of at most WIDTH columns. All that comes from the input is made safe for a terminal."""
    asked = "no image was requested" if found.sample is None else "the sample was not kept"
    lines = [f"An estimate of this ingest: nothing was written, {asked}.", ""]
    for name, text in _entries(found):
        lines += _entry(name, text)
    lines += ["", *(line for warning in found.warnings for line in _entry("warning", safe_text(warning, 1000)))]
    if found.sample is None:
        lines += _entry("next", "--sample 1000 fetches that many images and measures success, sizes and time")
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, text: str) -> list[str]:
    wrapped = Text(text).wrap(_CONSOLE, WIDTH - _LABEL)  # by the columns of a terminal: some characters take two
    return [f"{name if not number else '':{_LABEL}}{line.plain.rstrip()}" for number, line in enumerate(wrapped)]


def _entries(found: Findings) -> Iterator[tuple[str, str]]:
    yield "rows", _rows(found)
    for column in found.columns:
        yield "column", f"{column.used_as}: {safe_text(column.name, 80)!r} ({column.chosen_by})"
    if found.unused_columns:
        yield "not read", ", ".join(safe_text(name, 40) for name in found.unused_columns)
    for row in found.examples:
        tags = ", ".join(safe_text(tag, 30) for tag in row.tags) or "no tags"
        yield "row", f"{safe_text(row.url or 'no URL', WIDTH - _LABEL)}  [{tags}]"
    if found.rejects:
        reasons = ", ".join(f"{reason} {_share(rows, found.rows_read)}" for reason, rows in found.rejects.items())
        yield "rejects", f"before anything is requested: {reasons}"
    if found.repeated:
        yield (
            "repeated",
            f"{_share(found.repeated, found.rows_read)} of the rows that were read have the URL of an earlier one: "
            "duplicates, whose tags are joined; the whole input has at least that share",
        )
    yield from _tags(found)
    yield from _hosts(found.costs, _at_least(found))
    if found.sample is not None:
        yield from _sample(found.sample)
    yield from _costs(found.costs)


def _rows(found: Findings) -> str:
    number = (
        f"at least {found.rows:,}" if found.rows_at_least else f"{'' if found.rows_exact else 'about '}{found.rows:,}"
    )
    files = f"{found.inputs_read:,} of {found.inputs:,} inputs"
    if found.rows_at_least:
        return f"{number}; {found.rows_read:,} were read, of {files}"
    return f"{number}; {found.rows_read:,} ({_share(found.rows_read, found.rows)}) were read, of {files}"


def _tags(found: Findings) -> Iterator[tuple[str, str]]:
    tags = found.tags
    yield "tags", f"{tags.tags_a_row:.1f} a row; {_share(tags.tags_matched, tags.tags)} of them lead to a label"
    yield (
        "labels",
        f"{_at_least(found)}{tags.labels:,}; {_share(tags.unlabelled, tags.rows)} of the images would have none",
    )
    if tags.top:
        yield "commonest", ", ".join(f"{safe_text(label.name, 30)} {label.images:,}" for label in tags.top)
    if tags.unmatched:
        yield "no label", ", ".join(f"{safe_text(tag, 30)} {count:,}" for tag, count in tags.unmatched)
    if tags.few is not None:
        yield "few labels", f"{safe_text(tags.few.why, 200)}: {safe_text(tags.few.remedy, 200)}"
    if tags.joined is not None:
        yield "joined tags", safe_text(tags.joined, 300)


def _at_least(found: Findings) -> str:
    """Returns the words before a count to which rows that were not read may add."""
    return "" if found.rows_exact and found.rows_read == found.rows else "at least "


def _hosts(costs: Costs, at_least: str) -> Iterator[tuple[str, str]]:
    if not costs.hosts:
        return
    urls = max(1, costs.urls)
    largest = (f"{safe_text(each.host, 40)} {each.urls / urls:.1%}" for each in costs.largest_hosts[:_SHOWN_HOSTS])
    yield "hosts", f"{at_least}{costs.hosts:,}; the largest: {', '.join(largest)} of the URLs"
    if (slow := costs.slowest_host) is not None:
        how = "measured" if slow.measured else "assumed"
        yield (
            "slowest host",
            f"{safe_text(slow.host, 40)}: {slow.urls:,} URLs take {_hours(slow.hours)} at the limit of requests "
            f"to one host, {slow.request_seconds:.2f} s each ({how}), if its robots.txt asks for no delay",
        )


def _sample(sample: SampleFindings) -> Iterator[tuple[str, str]]:
    yield (
        "sample",
        f"{sample.images:,} of {sample.requests:,} requests gave an image: {sample.success.value:.1%} "
        f"({sample.success.low:.1%} to {sample.success.high:.1%} of all, with 95 % confidence)",
    )
    if sample.rejects:
        reasons = (f"{reason} {_share(count, sample.requests)}" for reason, count in sample.rejects.items())
        yield "", f"not: {', '.join(reasons)}"
    yield "", f"{sample.rate:.1f} requests a second were reached, {sample.request_seconds:.2f} s each"
    if sample.images:
        sides = (f"{sample.shorter_side[q]:.0f} x {sample.longer_side[q]:.0f}" for q in ("10%", "50%", "90%"))
        yield "sizes", f"10, 50 and 90 % of the images are at most {', '.join(sides)} pixels"
        body, stored = sample.body_bytes, sample.stored_bytes
        yield "", f"mean {_bytes(body['mean'])} as fetched, {_bytes(stored['mean'])} as stored"
    yield (
        "duplicates",
        f"in the sample {sample.same_bytes:,} have the bytes of another image, and {sample.near_duplicates:,} yield to "
        f"one that is nearly the same. The whole input has more: pairs grow with the square of the rows"
        + (f", to about {sample.expected_near_pairs:,.0f}" if sample.near_pairs else ""),
    )
    yield "images", f"{_interval(sample.expected_images, '{:,.0f}'.format)} before duplicates are left out"


def _costs(costs: Costs) -> Iterator[tuple[str, str]]:
    yield "URLs", f"{costs.urls:,} would be requested or read"
    yield "time", f"{_hours(costs.hours)} at {costs.rate:,.0f} images a second ({_RATES[costs.rate_from]} sets it)"
    if costs.downloaded_bytes is not None:
        yield "download", _interval(costs.downloaded_bytes, _bytes)
    if costs.stored_bytes is None:
        yield "disk", "not known without --sample, since images are stored as large as they are"
        return
    if costs.measured:
        stored = _interval(costs.stored_bytes, _bytes)
    else:
        stored = (
            f"at most about {_bytes(costs.stored_bytes.value)}, at {STORED_BYTES / 1e3:.0f} kB an image of "
            f"{STORED_SIDE} pixels (a measurement on photographs)"
        )
    free = "" if costs.free_bytes is None else f"; {_bytes(costs.free_bytes)} are free"
    yield "disk", f"{stored}; twice that until a run is committed{free}"


def _share(part: int, whole: int) -> str:
    return f"{part / max(1, whole):.1%}"


def _interval(of: Interval, shown: Callable[[float], str]) -> str:
    if of.low == of.high:
        return shown(of.value)
    high = "without an upper bound" if math.isinf(of.high) else f"to {shown(of.high)}"
    return f"{shown(of.value)} ({shown(of.low)} {high})"


def _bytes(number: float) -> str:
    for unit, power in (("TB", 12), ("GB", 9), ("MB", 6), ("kB", 3)):
        if number >= 10**power:
            return f"{number / 10**power:,.1f} {unit}"
    return f"{number:.0f} bytes"


def _hours(hours: float) -> str:
    if hours < 1:
        return str(timedelta(seconds=math.ceil(hours * 3600)))
    return f"{hours:,.1f} hours" + (f" ({hours / 24:,.1f} days)" if hours >= 48 else "")
