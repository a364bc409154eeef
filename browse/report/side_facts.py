"""What a report shows of the tables of rejects and of the ledger: examples, groups of duplicates, hosts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.browse.report.shard_choice import MAX_TABLES, choose
from tagmill.browse.takedown_rules import NUMBERS_ONLY, ForbiddenRows
from tagmill.shards import Corpus
from tagmill.shards.side_tables import LEDGER, REJECTS, SIDE_ROWS, num_runs, of_runs

COPIES = ("duplicate", "near_duplicate")
MAX_EXAMPLES = 3  # of a reason
MAX_HOSTS = 20
MAX_GROUPS = 20_000  # groups of duplicates that are looked at, those with the smallest keys
MAX_MEMBERS = 6  # of a group
MAX_TAGS = 30  # of a row
_LONGEST = 400  # characters that are kept of a text
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that products of different numbers differ: a hash of row numbers


@dataclass(frozen=True)
class RejectedRow:
    """A row that did not become a sample."""

    row_id: int
    reason: str
    url: str | None
    detail: str | None
    tags: tuple[str, ...]


@dataclass
class RejectFacts:
    """What tables of rejects have."""

    tables: int = 0  # that were read
    of_tables: int = 0  # in the corpus
    counts: dict[str, int] = field(default_factory=dict)  # rows by reason, of the tables that were read
    examples: dict[str, list[RejectedRow]] = field(default_factory=dict)  # by reason
    members: dict[str, list[RejectedRow]] = field(default_factory=dict)  # of duplicates, by the key of the sample
    sizes: dict[str, int] = field(default_factory=dict)  # rows of these groups, without the sample


@dataclass(frozen=True)
class HostRows:
    """What came of the rows of a host."""

    host: str
    rows: int
    samples: int  # and rows that became none only because of what other rows have
    seconds: float  # mean of a row that was fetched


@dataclass(frozen=True)
class LedgerFacts:
    """What tables of the ledger have."""

    tables: int
    of_tables: int
    hosts: tuple[HostRows, ...]  # those with most rows
    num_hosts: int


def reject_facts(corpus: Corpus, forbidden: ForbiddenRows) -> RejectFacts:
    """Reads tables of rejects; nothing of rows that the takedown list forbids."""
    names = _names(corpus, "rejects")
    found = RejectFacts(of_tables=len(names))
    best: dict[str, list[tuple[int, RejectedRow]]] = {}
    for place in choose(names, MAX_TABLES):
        for rows in _batches(corpus, names[place], REJECTS.names):
            order = (rows["row_id"].to_numpy().astype(np.uint64) * _MIX).tolist()
            for count in rows["reason"].value_counts().to_pylist():
                reason = count["values"]
                found.counts[reason] = found.counts.get(reason, 0) + count["counts"]
                if reason in NUMBERS_ONLY:
                    continue
                here = pc.indices_nonzero(pc.equal(rows["reason"], reason)).to_pylist()
                first = sorted(here, key=order.__getitem__)[: 4 * MAX_EXAMPLES]
                some = [(order[number], _row(rows, number)) for number in first]
                some = [(at, row) for at, row in some if not forbidden.url(row.url)]
                best[reason] = sorted([*best.get(reason, []), *some], key=lambda each: each[0])[:MAX_EXAMPLES]
                if reason in COPIES:
                    _add_copies(found, rows, here, forbidden)
        found.tables += 1
    found.examples = {reason: [row for _, row in some] for reason, some in best.items()}
    return found


def _add_copies(found: RejectFacts, rows: pa.Table, here: list[int], forbidden: ForbiddenRows) -> None:
    keys = rows["yields_to"].to_pylist()
    for number in here:
        key = keys[number]
        if key is None or forbidden.key(key):
            continue
        members = found.members.setdefault(key, [])
        found.sizes[key] = found.sizes.get(key, 0) + 1
        if len(members) < MAX_MEMBERS:
            row = _row(rows, number)
            if not forbidden.url(row.url):
                members.append(row)
    if len(found.members) > 2 * MAX_GROUPS:
        for key in sorted(found.members)[MAX_GROUPS:]:
            del found.members[key], found.sizes[key]


def ledger_facts(corpus: Corpus, forbidden: ForbiddenRows) -> LedgerFacts:
    """Reads tables of the ledger: rows by host."""
    names, sums = _names(corpus, "ledger"), dict[str, list[float]]()
    chosen = choose(names, MAX_TABLES)
    for place in chosen:
        for rows in _batches(corpus, names[place], ["status", "seconds", "host"]):
            good = pc.is_in(rows["status"], pa.array(["ok", *COPIES]))
            table = pa.table({"host": rows["host"], "seconds": rows["seconds"], "good": good.cast(pa.int64())})
            grouped = table.filter(pc.is_valid(table["host"])).group_by("host", use_threads=False)
            wanted = [("host", "count"), ("good", "sum"), ("seconds", "sum"), ("seconds", "count")]
            for each in grouped.aggregate(wanted).to_pylist():
                own = sums.setdefault(each["host"], [0, 0, 0, 0])
                more = (each["host_count"], each["good_sum"], each["seconds_sum"], each["seconds_count"])
                for number, value in enumerate(more):
                    own[number] += value or 0
    allowed = [(host, own) for host, own in sums.items() if not forbidden.host(host)]
    allowed.sort(key=lambda each: (-each[1][0], each[0]))
    hosts = [
        HostRows(host[:_LONGEST], int(rows), int(good), seconds / fetched if fetched else 0.0)
        for host, (rows, good, seconds, fetched) in allowed[:MAX_HOSTS]
    ]
    return LedgerFacts(len(chosen), len(names), tuple(hosts), len(allowed))


def _names(corpus: Corpus, folder: str) -> list[str]:
    return of_runs(corpus.store.names(folder), num_runs(corpus.file))


def _batches(corpus: Corpus, name: str, columns: list[str]) -> Iterator[pa.Table]:
    schema = LEDGER if "host" in columns else REJECTS
    with corpus.store.open(name) as file:
        for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(SIDE_ROWS, columns=columns, use_threads=False):
            rows = pa.Table.from_batches([batch]).select(columns)
            yield rows.cast(pa.schema([schema.field(column) for column in columns]))


def _row(rows: pa.Table, number: int) -> RejectedRow:
    cells: dict[str, Any] = rows.slice(number, 1).to_pylist()[0]
    return RejectedRow(
        cells["row_id"],
        cells["reason"],
        cut(cells["url"]),
        cut(cells["detail"]),
        tuple(tag[:_LONGEST] for tag in (cells["tags"] or ())[:MAX_TAGS]),
    )


def cut(text: str | None) -> str | None:
    """Returns the begin of a text, so that long ones are not kept in memory."""
    return None if text is None else text[:_LONGEST]
