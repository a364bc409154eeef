"""`tagmill corpus takedown`: finds samples that must not be in a corpus, lists them there, and optionally purges their
bytes."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import tyro
from rich.console import Console

from tagmill.ingest.config.options import flag_of
from tagmill.ingest.filters.takedown_rules import PDQ_DISTANCE, Denylist, TakedownRule, rules_in
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.takedown.erase import erase, tables
from tagmill.ingest.takedown.forget_pictures import forget_pictures
from tagmill.shards.errors import ConfigError
from tagmill.shards.exchange.descriptions import describe_commit
from tagmill.shards.exchange.records import OutdatedExport, outdated_exports
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import Corpus, ShardEntry
from tagmill.shards.many_requests import TABLES_AT_ONCE, read_many
from tagmill.shards.progress.counts import counted
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.purge import begin_purge, purge_shards, record
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Between, check_fields
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool
from tagmill.shards.takedown import RULES, SAMPLE, Row
from tagmill.shards.terminal.advice import given, on_exports, on_unpurged
from tagmill.shards.terminal.lines import Figure, figure_lines, print_lines, warning_lines, width_of
from tagmill.shards.terminal.safe_text import safe_text

TABLE_READERS = 8  # shard tables that are read at a time
ROWS_READ = 4096  # of a table in memory
WORDS = ("pdq0", "pdq1", "pdq2", "pdq3")
CACHES = "Empty the caches of nodes that read this corpus (LoaderConfig.cache): they may contain copies."
COPIES = "Backups, and stores that keep old versions of objects, contain the bytes until you delete them there."


@dataclass(frozen=True, kw_only=True)
class TakedownConfig:
    """What is taken out of a corpus; without a list, samples that its takedown list describes are searched again."""

    corpus: tyro.conf.Positional[str]
    """Folder or bucket prefix of the corpus."""
    keys: str | None = None
    """File of sample keys, one per line."""
    urls: str | None = None
    """File of URLs, one per line; samples with the same bytes from another URL are taken down too."""
    hosts: str | None = None
    """File of hosts, one per line; .example.org (or *.example.org) includes all hosts below it."""
    sha256: str | None = None
    """File of sha256 digests of source images, in hex, one per line."""
    pdq: str | None = None
    """File of PDQ hashes, 64 hex digits each, alone or as the tools of PDQ write them; near images are taken down too."""
    pdq_distance: Annotated[int, Between(0, 256)] = PDQ_DISTANCE
    """Maximum Hamming distance to a PDQ hash, bits of 256."""
    note: str | None = None
    """Reason, which is stored in the takedown list."""
    purge: bool = False
    """Delete the bytes and facts of all listed samples for good."""
    dry_run: bool = False
    """Show what would be taken down and change nothing."""

    def __post_init__(self) -> None:
        check_fields(self, flag_of)

    def denied(self) -> Denylist:
        """Reads the rules of the given lists."""
        lists = zip(RULES, (self.keys, self.sha256, self.urls, self.hosts, self.pdq), strict=True)
        found = Denylist()
        for kind, path in lists:
            if path is not None:
                found |= rules_in(path, kind, self.pdq_distance)
        return found


@dataclass(frozen=True)
class Outcome:
    """What a takedown did."""

    rules: int  # new rules
    matched: dict[str, int]  # newly listed samples, by kind of rule
    taken_down: int  # all listed samples
    purged: int  # listed samples whose bytes are deleted
    rows_erased: int  # of rejects and ledger
    takedown: str | None  # the list that `corpus.json` names
    exports: tuple[OutdatedExport, ...] = ()  # which may have listed samples, out of reach of this command


@dataclass(frozen=True, slots=True)
class TakenSample:
    """A sample that a rule forbids, and the kind of rule."""

    shard: str
    ordinal: int
    key: str
    by: str


TAKEDOWN_COMMAND = CommandLine(
    "tagmill corpus takedown",
    "Take samples out of a corpus: readers skip them from now on, and --purge deletes their bytes.",
    (TakedownConfig, JsonOutput),
)


def take_down(config: TakedownConfig, at: datetime, progress: Progress | None = None) -> Outcome:
    """Lists samples, commits the list, then purges; `at` is the time that new rows of the list get.

    Readers skip listed samples at once; bytes are deleted afterwards, one shard at a time. If the process is killed,
    the same call completes it.
    """
    progress = progress or Silent()
    given, time = config.denied(), at.isoformat(timespec="seconds")
    corpus = Corpus.open(config.corpus)
    listed = Denylist.of(corpus.takedown)
    if not (given or listed):
        raise ConfigError("nothing to take down", "takedown", "give --keys, --urls, --hosts, --sha256 or --pdq")
    new = given.rules - listed.rules
    matches = list(find_taken(corpus, given | listed, progress))
    rows = [Row(**asdict(rule), note=config.note, at=time) for rule in sorted(new, key=str)]
    rows += [Row(kind=SAMPLE, value=m.key, by=m.by, shard=m.shard, ordinal=m.ordinal, at=time) for m in matches]
    erased = 0
    if not config.dry_run:
        keys = frozenset(TakedownRule("key", match.key) for match in matches)
        forget_pictures(corpus.store, given | listed | Denylist(keys))  # before the list: a reader of it shows none
        corpus = record(corpus, rows) if rows else corpus
        if config.purge:
            corpus = begin_purge(corpus, time)
            progress.stage("erase")
            erased = _erase(corpus)
            progress.stage("purge", len(corpus.entries))
            with tempfile.TemporaryDirectory(prefix="tagmill-") as spool:
                corpus = purge_shards(corpus, Path(spool), counted(progress, corpus.entries), time)
        describe_commit(corpus.store.url)
    taken, named = corpus.takedown, corpus.file.takedown
    counts = dict(sorted(Counter(match.by for match in matches).items()))
    exports = tuple(outdated_exports(corpus))
    path = named.path if named else None
    return Outcome(len(new), counts, taken.num_samples, taken.num_purged, erased, path, exports)


def find_taken(corpus: Corpus, denied: Denylist, progress: Progress | None = None) -> Iterator[TakenSample]:
    """Yields samples that rules forbid and the corpus does not list yet, in its order; one pass over rejects and shard
    tables."""
    progress = progress or Silent()
    progress.stage("rejects")
    copies = copied_keys(corpus.store, denied)
    columns = ["key", "sha256"]
    columns += ["url"] if denied.any("url", "host") else []
    columns += WORDS if denied.any("pdq") else []
    entries = corpus.entries

    progress.stage("search", len(entries))

    def of_shard(entry: ShardEntry) -> list[TakenSample]:
        known = set(corpus.takedown.ordinals(entry.name).tolist())
        return [match for match in _matches(corpus.store, entry, denied, copies, columns) if match.ordinal not in known]

    with DaemonPool(TABLE_READERS, "tagmill-takedown") as pool:
        for start in range(0, len(entries), 8 * TABLE_READERS):
            for found in counted(progress, pool.map(of_shard, entries[start : start + 8 * TABLE_READERS])):
                yield from found


def copied_keys(store: Store, denied: Denylist) -> frozenset[str]:
    """Returns the keys of samples that have the same image as a forbidden URL: of these, rejects with that URL are
    duplicates."""
    found = set[str]()
    names = tables(store, "rejects") if denied.any("url", "host") else []
    for data in read_many(store, names, TABLES_AT_ONCE):
        table = read_table(data, ["url", "yields_to"])
        rows = zip(table["url"].to_pylist(), table["yields_to"].to_pylist(), strict=True)
        found.update(key for url, key in rows if key is not None and denied.url(url))
    return frozenset(found)


def _matches(
    store: Store, entry: ShardEntry, denied: Denylist, copies: frozenset[str], columns: Sequence[str]
) -> Iterator[TakenSample]:
    first = 0
    with store.open(f"shards/{entry.name}.parquet") as file:
        for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(ROWS_READ, columns=columns, use_threads=False):
            rows = {name: batch[name] for name in columns}
            keys, sources = rows["key"].to_pylist(), rows["sha256"].to_pylist()
            urls = rows["url"].to_pylist() if "url" in rows else [None] * len(batch)
            near = np.zeros(len(batch), np.bool_)
            if "pdq0" in rows:
                known = rows["pdq0"].is_valid().to_numpy(zero_copy_only=False)
                words = [rows[name].fill_null(0).to_numpy() for name in WORDS]
                near = denied.near(np.stack(words, axis=1)) & known
            for ordinal, (key, source, url) in enumerate(zip(keys, sources, urls, strict=True), first):
                by = denied.exactly(key, source) or denied.url(url)
                by = by or ("duplicate" if key in copies else "pdq" if near[ordinal - first] else None)
                if by:
                    yield TakenSample(entry.name, ordinal, key, by)
            first += len(batch)


def _erase(corpus: Corpus) -> int:
    """Erases all listed samples from rejects and ledger, before the purge deletes the URLs by which rows are found there."""
    keys = {row["value"] for row in corpus.takedown.rows([SAMPLE])}
    urls = set[str]()
    shards = corpus.takedown.shards
    tables_of_shards = read_many(corpus.store, (f"shards/{shard}.parquet" for shard in shards), TABLES_AT_ONCE)
    for ordinals, data in zip(shards.values(), tables_of_shards, strict=True):
        found = read_table(data, ["url"])["url"].take(ordinals).to_pylist()
        urls.update(normalise(url) for url in found if url is not None)
    return erase(corpus.store, keys, urls, Denylist.of(corpus.takedown).url)


def takedown_command(arguments: Sequence[str]) -> str | None:
    """Runs one `tagmill corpus takedown` command line; returns the corpus that it changed."""
    config, shown = TAKEDOWN_COMMAND.parse(arguments)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        outcome = take_down(config, datetime.now(UTC), progress)
    console = Console()
    if shown.json:
        console.print_json(json.dumps(asdict(outcome)))
        return None if config.dry_run else config.corpus
    print_lines(outcome_lines(config, outcome, width_of(console)), console)
    return None if config.dry_run else config.corpus


def outcome_lines(config: TakedownConfig, outcome: Outcome, width: int) -> list[str]:
    """Returns what is printed about a takedown: figures with their meaning, exports, and what is left to do."""
    found = ", ".join(f"{count:,} by {kind}" for kind, count in outcome.matched.items()) or "none"
    figures = [
        Figure(
            "new rules",
            f"{outcome.rules:,}",
            "Lines of the lists that were not known before; later ingests obey them too.",
        ),
        Figure(
            "would be taken down" if config.dry_run else "newly taken down",
            found,
            "Samples that rules match, by kind of rule.",
        ),
        Figure("taken down", f"{outcome.taken_down:,}", "All listed samples; readers skip them from now on."),
        Figure("purged", f"{outcome.purged:,}", "Those of them whose bytes are deleted."),
    ]
    if outcome.rows_erased:
        figures.append(Figure("rows erased", f"{outcome.rows_erased:,}", "Of rejects and ledger."))
    if outcome.takedown:
        figures.append(Figure("list", safe_text(outcome.takedown), "In the corpus; takedowns only add to it."))
    lines = figure_lines(figures, width)
    if outcome.exports:
        lines += [
            "",
            "Exports:",
            *(f"  {safe_text(each.output)}: at most {each.samples:,} samples" for each in outcome.exports),
        ]
    done = not config.dry_run
    warnings = given(
        "Nothing was changed: this was --dry-run." if config.dry_run else None,
        on_unpurged(outcome.taken_down, outcome.purged) if done and not config.purge else None,
        on_exports(len(outcome.exports)),
        *((CACHES, COPIES) if done and config.purge else ()),
    )
    return [*lines, *warning_lines(warnings, width)]
