"""Names of the tables of rejects and of the ledger, to which each run adds, and the selection of those that a corpus
has.

A run writes them before its commit. So a reader selects by the number of runs in the corpus: tables of a later run,
which was killed or has not ended, are not part of it.
"""

import re
from collections.abc import Iterable

import pyarrow as pa

from tagmill.shards.manifest import CorpusFile

REJECTS = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        # of duplicates, whose tags are added to the key of the sample that is kept
        pa.field("tags", pa.list_(pa.string())),
        pa.field("yields_to", pa.string()),
    ]
)

LEDGER = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("status", pa.string(), nullable=False),  # 'ok' or the reason of the reject
        pa.field("http_status", pa.int32()),
        pa.field("fetched_at", pa.timestamp("ms", tz="UTC")),
        pa.field("seconds", pa.float64()),
        pa.field("host", pa.string()),
    ]
)

SIDE_ROWS = 10_000  # rows of a side table in memory, and in one of its row groups


FOLDERS = ("rejects", "ledger")
_NAME = re.compile(r"(?:extend-([0-9]+)-)?[0-9]+\.parquet")


def label(run: int, group: str) -> str:
    """Returns the stem of the file that pack group `group` writes in a run; the first run of a corpus is 0."""
    return f"extend-{run:06d}-{group}" if run else group


def num_runs(file: CorpusFile) -> int:
    """Returns the number of runs that made a corpus."""
    return max(1, len(file.lineage))


def of_later_runs(names: Iterable[str], runs: int) -> list[str]:
    """Selects the tables in a folder that runs after the first `runs` wrote: no corpus has them yet."""
    found = ((name, _NAME.fullmatch(name.rpartition("/")[2])) for name in names)
    return [name for name, match in found if match and int(match[1] or 0) >= runs]


def of_runs(names: Iterable[str], runs: int) -> list[str]:
    """Selects the tables in a folder that the first `runs` runs wrote."""
    found = ((name, _NAME.fullmatch(name.rpartition("/")[2])) for name in names)
    return [name for name, match in found if match and int(match[1] or 0) < runs]
