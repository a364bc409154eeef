"""`tagmill corpus export`: a corpus in formats that other tools read."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Literal

import tyro
from rich.console import Console
from rich.text import Text

from tagmill.shards.exchange.export import Exported, Wanted, export
from tagmill.shards.manifest import SPLITS
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count, check_fields
from tagmill.shards.terminal.safe_text import safe_text


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, and to where."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    output: str
    """Empty folder or bucket prefix; an export that was stopped there goes on."""
    format: Literal["parquet", "img2dataset"] = "parquet"
    """Parquet files with the images in them, or tars and tables in the layout of img2dataset."""
    view: str = "default"
    """View that gives the labels."""
    split: Literal["train", "holdout"] | None = None
    """Export only this split; by default both."""
    limit: Count | None = None
    """Number of samples to export, the first of the corpus."""
    parts_at_once: Count = 4
    """Shards to export at the same time."""
    spool: str | None = None
    """Local scratch folder; by default in the system's folder for temporary files."""
    record: bool = True
    """Note the export in the corpus, so that a takedown names it; turn it off for a corpus that you may only read."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"--{name.replace('_', '-')}")

    def wanted(self) -> Wanted:
        """Returns the export."""
        return Wanted(
            corpus=self.corpus,
            output=self.output,
            format=self.format,
            view=self.view,
            splits=SPLITS if self.split is None else (self.split,),
            limit=self.limit,
            at_once=self.parts_at_once,
            spool=self.spool,
            record=self.record,
        )


EXPORT_COMMAND = CommandLine(
    "tagmill corpus export",
    "Export a corpus to Parquet files with images, or to the layout of img2dataset.",
    (ExportOptions, JsonOutput),
)


def export_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus export` command line."""
    options, shown = EXPORT_COMMAND.parse(arguments)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        found = export(options.wanted(), progress)
    console = Console()
    if shown.json:
        console.print_json(json.dumps(asdict(found)))
    else:
        for line in summary_lines(found):
            console.print(Text(line))


def summary_lines(found: Exported) -> list[str]:
    """Returns what is printed about a finished export."""
    lines = [
        f"{found.samples:,} samples in {found.parts:,} parts, {found.bytes / 1e6:,.1f} MB: {safe_text(found.output)}"
    ]
    if found.written < found.parts:
        lines.append(f"{found.parts - found.written:,} parts were there already")
    if found.taken_down:
        lines.append(f"{found.taken_down:,} samples left out: they are taken down")
    return lines
