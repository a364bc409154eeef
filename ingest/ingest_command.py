"""`tagmill ingest`: runs an ingest from its flags or a recipe, and shows its progress and report."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tagmill.ingest.config.dry_run import DryRunOptions
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.shards.settings.options import CommandLine


@dataclass(frozen=True)
class IngestOutput:
    """Where options come from, and what is shown of a run."""

    recipe: Path | None = None
    """TOML file with values of the flags below, such as image_size = 384; flags override it."""
    json: bool = False
    """Print progress as JSON lines on standard error and the report as JSON on standard output."""
    prometheus: Path | None = None
    """File for the textfile collector of node_exporter (NAME.prom), written every few seconds."""


COMMON = ("input", "output", "preset", "image_size", "vocabulary", "holdout", "extend", "processes", "concurrency")
INGEST_COMMAND = CommandLine(
    "tagmill ingest",
    "Fetch lists of image URLs and hashtags into a corpus of tar shards.",
    (IngestConfig, IngestOutput, DryRunOptions),
    COMMON,
)


def ingest_command(arguments: Sequence[str]) -> str | None:
    """Runs one `tagmill ingest` command line; returns the corpus that it made, None of an estimate."""
    config: IngestConfig
    shown: IngestOutput
    estimated: DryRunOptions
    config, shown, estimated = INGEST_COMMAND.parse(arguments)
    # These load an HTTP client and an SQL engine, which `--help` does not wait for.
    from rich.console import Console

    from tagmill.ingest.endings.ingest_ending import ingest_ending
    from tagmill.ingest.report import REPORT_FILE
    from tagmill.ingest.run import ingest
    from tagmill.ingest.workers.process_setup import leave_out_pandas
    from tagmill.shards.progress.json_lines import JsonProgress
    from tagmill.shards.progress.protocol import Progress
    from tagmill.shards.progress.shown import progress_shown
    from tagmill.shards.terminal.lines import print_lines, width_of

    with ExitStack() as stack:
        if config.engine != "spark":
            stack.callback(leave_out_pandas())
        progress: Progress = stack.enter_context(JsonProgress() if shown.json else progress_shown())
        if shown.prometheus is not None:
            from tagmill.ingest.progress.prometheus import PrometheusProgress

            progress = stack.enter_context(PrometheusProgress(progress, shown.prometheus, config.name))
        if estimated.dry_run:
            from tagmill.ingest.dry_run.run import dry_run
            from tagmill.ingest.dry_run.screen import screen

            findings = dry_run(config, estimated, progress)
            stack.close()  # ends the lines of progress
            sys.stdout.write(findings.json() + "\n" if shown.json else screen(findings))
            return None
        report = ingest(config, progress)
    if shown.json:
        sys.stdout.write(report.json().decode())
    else:
        console = Console()
        page = ("report.html",) if find_spec("jinja2") else ()  # the page is made after this text
        print_lines(ingest_ending(report, (REPORT_FILE, *page), width_of(console)), console)
    return config.output
