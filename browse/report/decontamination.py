"""Pairs of an image of a corpus and one of an evaluation set, from the tables that ingest wrote."""

from dataclasses import dataclass

import pyarrow.parquet as pq

from tagmill.browse.report.side_facts import cut
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.shards import Corpus
from tagmill.shards.side_tables import SIDE_ROWS, label, num_runs

MAX_PAIRS = 24
LEAKS = "decontamination"  # stem of the tables
_COLUMNS = ["set", "evaluation_name", "key", "row_id", "distance", "same_bytes"]


@dataclass(frozen=True)
class EvaluationPair:
    """An image of the corpus, or a reject, that is in an evaluation set or near an image of it."""

    set: str
    name: str
    key: str
    row_id: int
    distance: int  # bits of PDQ
    same_bytes: bool


def evaluation_pairs(corpus: Corpus, forbidden: ForbiddenRows) -> tuple[list[EvaluationPair], int]:
    """Returns the pairs with the smallest keys, which are hashes, at most MAX_PAIRS; and the number of all pairs."""
    found, total = list[EvaluationPair](), 0
    for name in _tables(corpus):
        with corpus.store.open(name) as file:
            for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(
                SIDE_ROWS, columns=_COLUMNS, use_threads=False
            ):
                total += len(batch)
                rows = batch.to_pylist()
                some = sorted(rows, key=lambda row: (row["key"], row["set"], row["evaluation_name"]))[: 4 * MAX_PAIRS]
                found += [
                    EvaluationPair(
                        cut(row["set"]) or "",
                        row["evaluation_name"],
                        *(row["key"], row["row_id"], row["distance"], row["same_bytes"]),
                    )
                    for row in some
                    if not forbidden.key(row["key"])
                ]
        found = sorted(found, key=lambda pair: (pair.key, pair.set, pair.name))[:MAX_PAIRS]
    return found, total


def _tables(corpus: Corpus) -> list[str]:
    """Returns the tables of the runs that a corpus has, of those that had evaluation sets."""
    names = [f"{label(run, LEAKS)}.parquet" for run in range(num_runs(corpus.file))]
    return [name for name in names if corpus.store.exists(name)]
