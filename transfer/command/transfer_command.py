"""`tagmill transfer`: judges a model on a labelled set by several protocols, and writes the report."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import columns, print_lines, warning_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.asked_sets import sets_of
from tagmill.transfer.command.outcomes import judged
from tagmill.transfer.command.protocols import Bench, check_processes
from tagmill.transfer.command.ranks import Ranks, joined_ranks
from tagmill.transfer.command.transfer_options import TransferOptions
from tagmill.transfer.features.backbone import read_model
from tagmill.transfer.features.random_network import random_network
from tagmill.transfer.outcome.intervals import Estimate
from tagmill.transfer.report.report_facts import Average, Judged, RunFacts, averages
from tagmill.transfer.report.report_files import write_report
from tagmill.transfer.report.trained_on import Bounds, bounds_of, mean_bounds, read_trained_on
from tagmill.transfer.sets.labelled_set import LabelledSet

TRANSFER_COMMAND = CommandLine(
    "tagmill transfer", "Judge a trained model on a labelled set by several protocols.", (TransferOptions, JsonOutput)
)
MOST_ROWS = 18  # of the table that is printed; the report has all
# What the report names of the options; the rest does not change an outcome.
_NAMED = (
    "protocols",
    "resolution",
    "shots",
    "seeds",
    "allow_fewer",
    "neighbours",
    "random_networks",
    "trained_on",
    "evaluation_set",
    "schedule",
    "scale",
    "fine_tune_size",
    "fine_tune_batch",
    "fine_tune_lr",
    "fine_tune_parts",
    "fine_tune_seeds",
)


def transfer_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer` command line. Raises TagmillError."""
    options, shown = TRANSFER_COMMAND.parse(arguments)
    check_processes(options.protocols)
    with ExitStack() as stack:
        _transfer(options, joined_ranks(options.device, stack), json=shown.json)


def _transfer(options: TransferOptions, ranks: Ranks, *, json: bool) -> None:
    """All processes find the outcomes; the first one reports."""
    trained = read_model(options.model, options.network)
    train, test, notes = sets_of(options)
    seen = None if options.trained_on is None else read_trained_on(options.trained_on, options.evaluation_set)
    with nullcontext(Silent()) if json or not ranks.first else progress_shown() as progress:
        found = all_outcomes(trained, train, test, options, progress, ranks)
        if not ranks.first:
            return
        facts = RunFacts(
            options.model,
            trained.digest,
            trained.network,
            train.name,
            train.digest,
            test.name,
            test.digest,
            {name: value for name, value in asdict(options).items() if name in _NAMED},
        )
        bounds = None if seen is None else bounds_of(seen, found)
        report = write_report(
            Store(options.output), facts, found, test, images=options.images, notes=notes, bounds=bounds
        )
    if json:
        sys.stdout.write(report.decode())
    else:
        print_lines(ending_lines(found, options.output, notes, bounds))


def all_outcomes(
    trained: Trained,
    train: LabelledSet,
    test: LabelledSet,
    options: TransferOptions,
    shown: Progress,
    ranks: Ranks | None = None,
) -> list[Judged]:
    """Returns the outcomes of the model and then of each random network."""
    all_of_them = ranks or Ranks()
    found = list(judged(Bench(trained, train, test, options, shown, all_of_them), None))
    for seed in range(options.random_networks):
        other = random_network(trained, seed, train, threads=options.threads)
        found += judged(Bench(other, train, test, options, shown, all_of_them), seed)
    return found


def ending_lines(
    found: Sequence[Judged], output: str, notes: Sequence[str] = (), bounds: Bounds | None = None
) -> list[str]:
    """Returns what is printed at the end, at most 25 lines."""
    single = {(each.variant, each.random_seed is not None): each.figures.top1 for each in found}
    rows = [["protocol", "network", "runs", "top-1, %", "95 % interval"]]
    means = averages(found)
    rows += [_row(each, single) for each in means[:MOST_ROWS]]
    meant = []
    if bounds is not None:
        known = mean_bounds(bounds, found)
        added = [_bound_cells(None if each.random else known.get(each.variant)) for each in means[:MOST_ROWS]]
        rows = [[*row, *more] for row, more in zip(rows, [["lower, %", "unseen, %"], *added], strict=True)]
        meant = ["lower: images seen in training count as errors; unseen: without these images"]
    if len(means) > MOST_ROWS:
        meant.append(f"and {len(means) - MOST_ROWS} more in the report")
    kept = [safe_text(note, 70) for note in notes[:2]]
    where = safe_text(f"{output.rstrip('/')}/report.html", 400)
    return [*warning_lines(kept), *columns(rows, (2, 3, 5, 6)), *meant, f"report: {where}"]


def _row(each: Average, single: Mapping[tuple[str, bool], Estimate]) -> list[str]:
    _, low, high = each.top1 or single[each.variant, each.random]
    network = "random" if each.random else "trained"
    variant = safe_text(each.variant, 40)
    return [variant, network, f"{each.runs}", f"{100 * each.value:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"]


def _bound_cells(found: tuple[float, float | None] | None) -> list[str]:
    return ["-" if value is None else f"{100 * value:.1f}" for value in found or (None, None)]
