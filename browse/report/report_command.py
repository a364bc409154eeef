"""`tagmill corpus report`: makes the report page of a corpus."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from tagmill.shards import ConfigError, Corpus
from tagmill.shards.settings.options import CommandLine


@dataclass(frozen=True)
class ReportOptions:
    """Which corpus, and where the page goes."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    output: Path | None = None
    """File for the page; by default it is report.html in the corpus."""


REPORT_COMMAND = CommandLine(
    "tagmill corpus report",
    "Make the report page of a corpus: one HTML file with figures, labels, rejects and images.",
    (ReportOptions,),
)


def report_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus report` command line. Raises ConfigError where the file cannot be written."""
    (chosen,) = REPORT_COMMAND.parse(arguments)
    from tagmill.browse.report.page import report_page, write_report_page  # --help does without the template library

    corpus = Corpus.open(chosen.corpus)
    if chosen.output is None:
        sys.stdout.write(f"{write_report_page(corpus)}\n")
        return
    page, partial = report_page(corpus), chosen.output.with_name(f"{chosen.output.name}.partial")
    try:
        partial.write_bytes(page)
        partial.replace(chosen.output)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error}", str(chosen.output), "give another --output") from error
    sys.stdout.write(f"{chosen.output}\n")
