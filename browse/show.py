"""`tagmill corpus show`: prints the facts of a few samples and writes their images."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.query import Search, prepare
from tagmill.browse.search.sample_facts import OneSample, fact_lines, read_facts, reader_of
from tagmill.browse.search.scan import Found, scan
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot, tables_cache
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count, check_fields
from tagmill.shards.storage.store import Store
from tagmill.shards.terminal.safe_text import safe_cell, safe_text

TEXT_SHOWN = 1000  # columns of a terminal that one fact takes


@dataclass(frozen=True, kw_only=True)
class ShowConfig:
    """Which samples are shown."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    key: str | None = None
    """Key of a sample, 32 hex digits, or the first 8 or more of them."""
    label: str | None = None
    """Label that samples have: its name, a token or word of it, or a synset."""
    view: str = "default"
    """View whose labels are searched."""
    n: Annotated[Count, tyro.conf.arg(aliases=["-n"])] = 3
    """Number of samples to show."""
    output: str = "."
    """Folder in which the images are written, as KEY.jpg."""

    def __post_init__(self) -> None:
        check_fields(self, lambda name: f"--{name}")
        if (self.key is None) == (self.label is None):
            raise ConfigError("one of --key and --label is needed", "corpus show", "give --label zebra, for example")


SHOW_COMMAND = CommandLine(
    "tagmill corpus show", "Print the facts of a few samples and write their images.", (ShowConfig, JsonOutput)
)


@dataclass(frozen=True)
class Shown:
    """One sample that was found, and the file its image was written to."""

    sample: OneSample
    file: str  # empty if the image cannot be read


def show_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill corpus show` command line."""
    config, printed = SHOW_COMMAND.parse(arguments)
    console = Console()
    shown, found, search = show(config)
    if printed.json:
        console.print_json(json.dumps([_plain(each) for each in shown]), ensure_ascii=True)
    else:
        for each in shown:
            console.print(_table(each))
            if each.file:
                console.print(safe_cell(f"written to {each.file}", TEXT_SHOWN), soft_wrap=True)
    errors = Console(stderr=True)
    for text in [search.warning, *found.errors]:
        if text:
            errors.print(safe_cell(text, TEXT_SHOWN), soft_wrap=True)
    if found.unreadable:
        errors.print(f"{found.unreadable:,} parts of shards could not be read", soft_wrap=True)


def show(config: ShowConfig) -> tuple[list[Shown], Found, Search]:
    """Finds the samples, writes their images and returns them with the search. Raises CorpusError if there is none."""
    snapshot = CorpusWatch(config.corpus, tables_cache()).now()
    by, text = ("key", config.key) if config.key is not None else ("label", config.label)
    search = prepare(snapshot, by, text or "", config.view)
    listed = search.listed
    found = scan(
        snapshot,
        search.matcher,
        Cursor(),
        config.n,
        among=listed.shards if listed else (),
        among_until=listed.until if listed else 0,
        seconds=None,
    )
    if not found.hits:
        unread = (
            f", and {found.unreadable:,} parts of shards could not be read: {found.errors[0]}" if found.errors else ""
        )
        remedy = "samples that are taken down are not shown; see `tagmill corpus vocabulary`"
        raise CorpusError(f"no {safe_text(search.title, 100)}{unread}", snapshot.corpus.store.url, remedy)
    shown = list[Shown]()
    for hit in found.hits:
        try:
            shown.append(_written(snapshot, hit.shard, hit.ordinal, config.output))
        except CorpusError as error:  # of this sample only
            found.errors.append(str(error))
    return shown, found, search


def _written(snapshot: Snapshot, shard: int, ordinal: int, output: str) -> Shown:
    sample = read_facts(snapshot, shard, ordinal)
    reader = reader_of(snapshot, shard, ordinal)
    try:
        picture = reader.picture(reader.record(ordinal))
    except CorpusError as error:
        return Shown(replace(sample, errors=(*sample.errors, str(error))), "")
    store, name = Store(output), f"{sample.key}.jpg"
    store.put(name, picture)
    return Shown(sample, f"{store.url.rstrip('/')}/{name}")


def _table(shown: Shown) -> Table:
    sample = shown.sample
    table = Table(title=f"{sample.key}", show_header=False, title_justify="left", box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fact_lines(sample):
        table.add_row(safe_cell(name, 60), safe_cell(value, TEXT_SHOWN))
    for error in sample.errors:
        table.add_row("error", safe_cell(error, TEXT_SHOWN))
    return table


def _plain(shown: Shown) -> dict[str, Any]:
    sample = asdict(shown.sample)
    sample["labels"] = {
        view: [{"id": label.id, "name": label.name, "synsets": label.synsets} for label in labels]
        for view, labels in shown.sample.labels.items()
    }
    return {**sample, "file": shown.file}
