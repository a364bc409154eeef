"""What a dry run found, as one object that becomes JSON."""

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

from tagmill.ingest.dry_run.costs import Costs
from tagmill.ingest.dry_run.intervals import Interval
from tagmill.ingest.dry_run.tags import TagFindings


@dataclass(frozen=True)
class Column:
    """A column of the input that is read."""

    name: str
    used_as: str  # url, tags, caption, licence, page, sha256, md5, extra or condition
    chosen_by: str  # a flag, a preset or a default


@dataclass(frozen=True)
class ExampleRow:
    """A row as it was read, cut to some characters. No row that a takedown list forbids is one."""

    url: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class SampleFindings:
    """What a fetched sample showed; intervals are of 95 % confidence."""

    requests: int
    images: int  # that would be stored, if they were no duplicates
    success: Interval  # share of all requests
    rejects: dict[str, int]  # by reason, most frequent first
    seconds: float
    rate: float  # requests per second that were reached
    request_seconds: float  # mean of one, without the wait for a slot at its host
    body_bytes: dict[str, float]  # mean, and the quantiles 10, 50 and 90 % of images
    shorter_side: dict[str, float]  # pixels of originals, the same quantiles
    longer_side: dict[str, float]
    stored_bytes: dict[str, float]
    same_bytes: int  # images that have the bytes of another one of the sample
    near_pairs: int  # of different images within --near-threshold
    near_duplicates: int  # images that yield to a near one
    expected_images: Interval  # of the whole input, before duplicates are left out
    expected_near_pairs: float  # of the whole input: pairs grow with the square of the rows


@dataclass(frozen=True)
class Findings:
    """All that a dry run found."""

    rows: int  # of the input, with the limit
    rows_exact: bool
    rows_at_least: bool  # the input has more, and how many is unknown
    rows_read: int
    inputs: int
    inputs_read: int
    columns: tuple[Column, ...]
    unused_columns: tuple[str, ...]
    examples: tuple[ExampleRow, ...]
    rejects: dict[str, int]  # of the rows that were read, by reason, before anything is requested
    repeated: int  # of the rows that were read, those whose URL an earlier row has
    requests: int  # of the rows that were read, those whose URL would be requested or whose bytes would be read
    tags: TagFindings
    costs: Costs
    sample: SampleFindings | None
    warnings: tuple[str, ...]

    def json(self) -> str:
        """Returns one JSON object; a number without a bound is null."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=2)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
