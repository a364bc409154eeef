"""What the first page says of a corpus; what cannot be read becomes a warning, and the rest is shown."""

import json
from dataclasses import dataclass, field
from typing import Any

from tagmill.browse.search.snapshot import Snapshot, SplitTotals
from tagmill.shards.errors import StoreError, TagmillError

MAX_REPORT = 8 << 20  # bytes of report.json that are parsed


@dataclass(frozen=True)
class ViewTotals:
    """The totals of one view, and whether it has a search index."""

    name: str
    totals: dict[str, Any]


@dataclass(frozen=True)
class HomeFacts:
    """The content of the first page."""

    facts: list[tuple[str, str]]
    splits: list[SplitTotals] = field(default_factory=list)
    views: list[ViewTotals] = field(default_factory=list)
    rejects: dict[str, Any] = field(default_factory=dict)  # by reason, of the last run
    warnings: list[str] = field(default_factory=list)


def home_facts(snapshot: Snapshot) -> HomeFacts:
    """Reads `corpus.json`, the shard table, each `view.json` and `report.json`; no shard."""
    warnings, file = list[str](), snapshot.corpus.file
    views, splits = list[ViewTotals](), list[SplitTotals]()
    try:
        splits = snapshot.splits
    except TagmillError as error:
        warnings.append(str(error))
    for name in snapshot.view_names:
        try:
            views.append(ViewTotals(name, _mapping(snapshot.view(name).file.totals)))
        except TagmillError as error:
            warnings.append(str(error))
    report = read_report(snapshot, warnings)
    few = report.get("few_labels")
    if isinstance(few, dict):
        warnings.append(f"hardly any labels: {few.get('why', '')}; {few.get('remedy', '')}")
    if unfinished := snapshot.corpus.takedown.unfinished:
        warnings.append(
            f"a purge has not finished in {len(unfinished)} shards: run `tagmill corpus takedown --purge` again"
        )
    rejects = dict(sorted(_mapping(report.get("rejects")).items(), key=lambda item: -_number(item[1])))
    return HomeFacts(_facts(snapshot, file.totals), splits, views, rejects, warnings)


def _facts(snapshot: Snapshot, totals: object) -> list[tuple[str, str]]:
    file, taken = snapshot.corpus.file, snapshot.corpus.takedown
    lines = [("totals", _pairs(totals)), ("images", _pairs(file.image_policy)), ("made by", _pairs(file.image_stack))]
    lines += [("tagmill", str(file.code_version)), ("format", str(file.format)), ("runs", str(len(file.lineage)))]
    if taken.num_samples:
        lines.append(("taken down", f"{taken.num_samples:,} samples, {taken.num_purged:,} of them purged"))
    return [(name, text) for name, text in lines if text]


def read_report(snapshot: Snapshot, warnings: list[str]) -> dict[str, Any]:
    """Reads `report.json`; what is wrong with it is added to `warnings`."""
    store = snapshot.corpus.store
    try:
        size = store.size("report.json")
        if size > MAX_REPORT:
            warnings.append(
                f"report.json has {size:,} bytes, and at most {MAX_REPORT:,} are read: its counts are not shown"
            )
            return {}
        found = json.loads(store.read("report.json"))
    except FileNotFoundError:
        warnings.append("there is no report.json: the counts of rejects are not known")
        return {}
    except (ValueError, RecursionError) as error:
        warnings.append(f"report.json is altered ({error}): restore it from the run that wrote it")
        return {}
    except StoreError as error:
        warnings.append(str(error))
        return {}
    return _mapping(found)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0


def _pairs(value: object) -> str:
    found = _mapping(value).items()
    return ", ".join(f"{name} {each:,}" if isinstance(each, int) else f"{name} {each}" for name, each in found)
