"""`tagmill transfer compare`: two outcomes on the same images."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import tyro

from tagmill.shards import InputError, Store
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import Figure, figure_lines, print_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.compare import Comparison, compare_outcomes
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.outcome_file import read_outcome
from tagmill.transfer.sets.set_files import folder_and_name

MOST_OUTCOME_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Which outcomes are compared."""

    first: tyro.conf.Positional[str]
    """Outcome of one model: a file in outcomes/ of a report (path or URL)."""
    second: tyro.conf.Positional[str]
    """Outcome of the other model on the same test images."""


COMPARE_COMMAND = CommandLine(
    "tagmill transfer compare",
    "Compare two models on the same test images: difference, paired interval and McNemar's test.",
    (CompareOptions, JsonOutput),
)


def compare_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer compare` command line. Raises TagmillError."""
    options, shown = COMPARE_COMMAND.parse(arguments)
    first, second = outcome_at(options.first), outcome_at(options.second)
    found = compare_outcomes(first, second)
    if shown.json:
        sys.stdout.write(canonical_json(asdict(found)).decode())
    else:
        print_lines(comparison_lines(first, second, found))


def outcome_at(address: str) -> Outcome:
    """Reads an outcome by its path or URL. Raises InputError where there is none."""
    folder, name = folder_and_name(address)
    store = Store(folder)
    try:
        size = store.size(name)
    except FileNotFoundError:
        remedy = "give a file in outcomes/ of a report"
        raise InputError("no such outcome", safe_text(address), remedy) from None
    if size > MOST_OUTCOME_BYTES:
        raise InputError(
            f"an outcome of {size:,} bytes", safe_text(address), f"at most {MOST_OUTCOME_BYTES:,} are read"
        )
    return read_outcome(store.read(name), safe_text(address))


def comparison_lines(first: Outcome, second: Outcome, found: Comparison) -> list[str]:
    """Returns what is printed of a comparison."""
    left_out = f"{found.only_first:,} only in the first and {found.only_second:,} only in the second are left out"
    grouped = "" if found.groups is None else f"drawn as {found.groups:,} groups; "
    independent = "; it takes images as independent, and these are in groups" if found.groups else ""
    figures = [
        Figure("images", f"{found.images:,}", f"that both have; {left_out}"),
        Figure("first", _percent(found.first), safe_text(f"{first.model}, {first.protocol}", 100)),
        Figure("second", _percent(found.second), safe_text(f"{second.model}, {second.protocol}", 100)),
        Figure("difference", _percent(found.difference), f"points, second minus first; {grouped}paired bootstrap"),
        Figure("only one right", f"{found.first_right:,} and {found.second_right:,}", "images, first and second"),
        Figure("McNemar p", f"{found.p_value:.4g}", f"exact, two-sided{independent}"),
    ]
    return figure_lines(figures)


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"
