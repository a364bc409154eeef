"""What `tagmill ingest` prints at its end: at most 30 lines of 80 columns; all figures are in `report.json`."""

import re

from tagmill.ingest.reasons import Reason, commonest
from tagmill.ingest.report import REPORT_FILE, Report, TopLabel
from tagmill.shards.terminal.lines import (
    WIDTH,
    Figure,
    columns,
    command_line,
    figure_lines,
    next_lines,
    seconds_text,
    size_text,
    warning_lines,
    wrapped,
)
from tagmill.shards.terminal.safe_text import safe_text

MOST_LINES = 30
REASONS_SHOWN = 6
LABELS_SHOWN = 3
PATH_CELLS = 4000  # paths and commands stay whole, to be copied


def ingest_ending(report: Report, files: tuple[str, ...] = (REPORT_FILE,), width: int = WIDTH) -> list[str]:
    """Returns the lines. `files` are the objects of the output that say more."""
    head = [safe_text(f"{report.name}: {report.output}", PATH_CELLS)]
    head += figure_lines(_counts(report), width) + _rejects(report, width) + _labels(report, width)
    folder = safe_text(report.output.rstrip("/"), PATH_CELLS)
    # A path is not wrapped: it can be copied.
    tail = [*figure_lines([_cost(report)], width), "more  " + " ".join(f"{folder}/{file}" for file in files)]
    after = next_lines(*next_commands(report))
    return [*head, *tail, *_fitting(report, width, MOST_LINES - len([*head, *tail, *after])), *after]


def next_commands(report: Report) -> list[str]:
    """Returns the commands that people run next, as they can be pasted into a shell."""
    if not sum((report.totals or report.samples).get(split, 0) for split in report.samples):
        return [command_line("tagmill", "corpus", "info", report.output)]
    look = command_line("tagmill", "corpus", "browse", report.output)
    if not report.labels:
        return [look, command_line("tagmill", "corpus", "vocabulary", report.output)]
    return [
        look,
        command_line("tagmill", "corpus", "plan", report.output, "--batch-size", "256"),
        command_line("tagmill", "train", "--corpus", report.output, "--output", report.output.rstrip("/") + "-model"),
    ]


def _counts(report: Report) -> list[Figure]:
    skipped = f", and {report.skipped:,} left out by --where or the preset" if report.skipped else ""
    mean = size_text(report.shard_bytes / max(1, report.shards))
    shards = f"{report.shards:,}, {size_text(report.shard_bytes)}" + (f", {mean} each" if report.shards > 1 else "")
    now = {name: report.totals[name] for name in report.samples if name in report.totals}
    return [
        Figure("rows", f"{report.rows:,}{skipped}"),
        Figure("samples", f"{sum(report.samples.values()):,}: {_listed(report.samples)}"),
        *([Figure("whole corpus", _listed(now))] if now else []),
        *([] if report.compared is None else [Figure("digests", _digests(report))]),
        Figure("shards", shards),
    ]


def _digests(report: Report) -> str:
    kept = f", {report.altered:,} of another image, which is kept" if report.altered else ""
    return f"{report.compared:,} compared with the list's{kept}"


def _rejects(report: Report, width: int) -> list[str]:
    """The most frequent reasons, and all others in one line; no reason that has no rows."""
    found = {reason: count for reason, count in commonest(report.rejects).items() if count}
    if not found:
        return []
    total = sum(found.values())
    shown, others = list(found)[:REASONS_SHOWN], list(found)[REASONS_SHOWN:]
    if len(others) == 1:  # it takes the line that the sum would take
        shown, others = list(found), []
    rows = [(f"  {reason}", f"{found[reason]:,}", _share(found[reason], report.rows)) for reason in shown]
    means = [Reason(reason).meaning for reason in shown]
    if others:
        count = sum(found[reason] for reason in others)
        rows.append((f"  {len(others)} others", f"{count:,}", _share(count, report.rows)))
        means.append(", ".join(others))
    lines = [f"rejects: {total:,}, {_share(total, report.rows)} of the rows"]
    lines += [safe_text(f"{row}  {text}", width) for row, text in zip(columns(rows, (1, 2)), means, strict=True)]
    return [*lines, f"  listed in {safe_text(report.output.rstrip('/'), PATH_CELLS)}/rejects/*.parquet"]


def _labels(report: Report, width: int) -> list[str]:
    """The number of labels, and the most frequent ones with their most frequent tokens."""
    matched = f"{report.tags_matched_share:.0%} of {report.tags:,} tags led to one" if report.tags else "no tags"
    line = f"labels: {report.labels:,}; {matched}; {report.unlabelled:,} samples have none"
    rows = [(safe_text(f"  {label.name}", 26), f"{label.images:,}") for label in report.top_labels[:LABELS_SHOWN]]
    tokens = map(_tokens, report.top_labels)
    lines = columns(rows, (1,)) if rows else []
    return [
        *wrapped(line, width),
        *(safe_text(f"{row} images" + (f": {of}" if of else ""), width) for row, of in zip(lines, tokens)),
    ]


def _tokens(label: TopLabel) -> str:
    """Tokens with their images; of reports of earlier versions the words of the label."""
    if not label.tokens:
        return ", ".join(label.lemmas)
    return ", ".join(f"#{token} {count:,}" for token, count in commonest(dict(label.tokens)).items())


def _cost(report: Report) -> Figure:
    seconds = {stage: took for stage, took in report.seconds.items() if took >= 0.05}
    longest = sorted(seconds, key=lambda stage: -seconds[stage])[:3]
    stages = ", ".join(f"{stage} {seconds_text(seconds[stage])}" for stage in longest)
    fetched = f"{size_text(report.fetched_bytes)} fetched, " if report.fetched_bytes else ""
    return Figure("cost", f"{fetched}{seconds_text(sum(seconds.values()))}" + (f" ({stages})" if stages else ""))


def _fitting(report: Report, width: int, lines: int) -> list[str]:
    """Returns the warnings in a number of lines, the gravest first: whole, or their first sentences, or as many as fit and
    where the others are."""
    whole = report.warnings
    short = [re.split(r"(?<=[.?]) (?=[-A-Z`])", text)[0] for text in whole]
    for shown in range(len(whole), -1, -1):
        left = len(whole) - shown
        rest = [f"{left:,} more in {REPORT_FILE} (warnings)"] if left else []
        for texts in (whole, short):
            found = warning_lines([*texts[:shown], *rest], width)
            if len(found) <= lines:
                return found
    return []


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _share(count: int, rows: int) -> str:
    return f"{count / max(1, rows):.1%}"
