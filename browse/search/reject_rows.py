"""Rows of `rejects/`, read a batch at a time, without those that may not be shown."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.scan import ERRORS_SHOWN, SEARCH_SECONDS
from tagmill.browse.search.snapshot import Snapshot
from tagmill.browse.takedown_rules import NUMBERS_ONLY, ForbiddenRows
from tagmill.shards.errors import ConfigError, CorpusError, StoreError, TagmillError
from tagmill.shards.side_tables import num_runs, of_runs

COLUMNS = ["row_id", "url", "reason", "detail", "tags", "yields_to"]
ROWS_READ = 1024


@dataclass(frozen=True)
class RejectPage:
    """Some rows of rejects, as plain values of COLUMNS."""

    rows: list[dict[str, Any]]
    after: Cursor | None  # where the rest begins: number of the table, number of the row; None at the end
    searched: float  # share of the tables that are searched now, 0 to 1
    errors: list[str] = field(default_factory=list)


def reject_tables(snapshot: Snapshot) -> list[str]:
    """Returns the names of the tables of rejects of all runs that made the corpus, in order."""
    return of_runs(snapshot.corpus.store.names("rejects"), num_runs(snapshot.corpus.file))


def reject_rows(
    snapshot: Snapshot,
    begin: Cursor,
    most: int,
    *,
    reason: str = "",
    yields_to: str = "",
    seconds: float | None = SEARCH_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> RejectPage:
    """Returns the first `most` rows from `begin` on, of one reason, or of duplicates of one sample. Ends after the batch
    during which `seconds` of `clock` are used up. Raises ConfigError for a reason whose rows are numbers only.

    Rows are left out whose URL or sample is on the takedown list.
    """
    if reason in NUMBERS_ONLY:
        raise ConfigError(f"rows with reason {reason} are not shown", "rejects", "report.json has their number")
    began, tables, rows, errors = clock(), reject_tables(snapshot), list[dict[str, Any]](), list[str]()
    forbidden = ForbiddenRows.of(snapshot.corpus)
    for number in range(begin.shard, len(tables)):
        try:
            for ordinal, batch in _batches(snapshot, tables[number], begin.ordinal if number == begin.shard else 0):
                for place, row in enumerate(batch, ordinal):
                    if not _is_asked_for(row, reason, yields_to) or not _is_shown(row, forbidden):
                        continue
                    rows.append(row)
                    if len(rows) == most:
                        return RejectPage(rows, Cursor(number, place + 1), number / len(tables), errors)
                if seconds is not None and clock() - began >= seconds:
                    return RejectPage(rows, Cursor(number, ordinal + len(batch)), number / len(tables), errors)
        except TagmillError as error:
            errors += [str(error)] if len(errors) < ERRORS_SHOWN else []
    return RejectPage(rows, None, 1.0, errors)


def _is_asked_for(row: dict[str, Any], reason: str, yields_to: str) -> bool:
    return row["reason"] == reason if reason else row["yields_to"] == yields_to if yields_to else True


def _is_shown(row: dict[str, Any], forbidden: ForbiddenRows) -> bool:
    if row["reason"] in NUMBERS_ONLY or forbidden.key(row["yields_to"]):
        return False
    return not forbidden.url(row["url"])


def _batches(snapshot: Snapshot, name: str, start: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yields (number of the first row, rows) of a table from row `start` on; row groups before it are not read."""
    where = f"{snapshot.corpus.store.url}/{name}"
    try:
        with snapshot.corpus.store.open(name) as file:
            table, first = pq.ParquetFile(file, pre_buffer=False), 0
            for group in range(table.num_row_groups):
                size = table.metadata.row_group(group).num_rows
                if first + size > start:
                    ordinal = first
                    batches = table.iter_batches(ROWS_READ, row_groups=[group], columns=COLUMNS, use_threads=False)
                    for batch in batches:
                        if ordinal + len(batch) > start:
                            skipped = max(0, start - ordinal)
                            yield ordinal + skipped, batch.slice(skipped).to_pylist()
                        ordinal += len(batch)
                first += size
    except StoreError:
        raise
    except (OSError, ValueError, KeyError, IndexError) as error:  # Arrow's errors are among these
        raise CorpusError(f"not a table of rejects: {error}", where, "restore it") from error
