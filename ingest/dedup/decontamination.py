"""Decontamination: finds images that are in an evaluation set, or near one of its images, so that no model is tested on
them.

The search is exact: every pair within the threshold is found (similarity/hamming_index.py). Pairs are listed in
`decontamination.parquet` whether images are removed or only marked, so that accuracy can be computed again without the
evaluation images that were seen in training.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.similarity.hamming_index import MAX_ENTRIES, HammingIndex, Scheme, choose_scheme
from tagmill.ingest.similarity.hash_files import HashFile, Records, Words, is_existing
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.formats.record import key_of, sha256_hex

LEAKS = "decontamination"  # stem of the table of matches of a run with evaluation sets
LEAKS_FILE = f"{LEAKS}.parquet"
# The evaluation images, sorted by set and name; each has a sha256, a hash, or both.
ENTRIES = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # its file, or the row of a table of hashes
        pa.field("sha256", pa.string()),
        *(pa.field(f"pdq{word}", pa.int64()) for word in range(4)),
        pa.field("pdq_quality", pa.int32()),
    ]
)
# One row for each pair of an image of the corpus and an evaluation image.
MATCHES = pa.schema(
    [
        pa.field("set", pa.string(), nullable=False),
        pa.field("evaluation_name", pa.string(), nullable=False),
        pa.field("evaluation_sha256", pa.string()),
        pa.field("key", pa.string(), nullable=False),
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("distance", pa.int32(), nullable=False),  # bits of PDQ; 0 where the bytes are the same
        pa.field("same_bytes", pa.bool_(), nullable=False),
    ]
)
LEAKED = pa.schema([("row_id", pa.int64()), ("part", pa.int32())])  # images with a match
_BLOCK = 1 << 15  # hashes of the corpus that a thread matches at a time


@dataclass(frozen=True)
class EvaluationSets:
    """Images that no model should be trained on, and what to do with matching images of the corpus."""

    entries: pa.Table = field(default_factory=ENTRIES.empty_table)
    broken: dict[str, int] = field(default_factory=dict)  # number of files of a set that are not valid images
    threshold: int = 31  # bits of PDQ
    quality: int = 50  # evaluation images of lower PDQ quality are matched only by sha256
    remove: bool = True

    def __bool__(self) -> bool:
        return len(self.entries) > 0

    def data(self) -> bytes:
        """Serialises the entries; equal entries give equal bytes."""
        return table_bytes(self.entries.to_pylist(), ENTRIES)

    @property
    def digest(self) -> str:
        return sha256_hex(self.data())

    def hashed(self) -> tuple[npt.NDArray[np.int64], Words]:
        """Returns (ordinals of the entries that are matched by hash, int64 [m]; their hashes, uint64 [m, 4])."""
        good = pc.greater_equal(pc.fill_null(self.entries["pdq_quality"], 100), self.quality)
        good = pc.and_(good, pc.is_valid(self.entries["pdq0"])).to_numpy()
        columns = [self.entries[f"pdq{word}"].filter(pa.array(good)).to_numpy() for word in range(4)]
        return np.flatnonzero(good), np.stack(columns, axis=1).astype(np.int64).view(np.uint64)


def find_leaks(
    engine: Engine, hashes: HashFile, sets: EvaluationSets, memory: int, threads: int
) -> tuple[pa.Table, pa.Table, dict[str, dict[str, int]]]:
    """Returns the pairs (MATCHES, sorted by set, evaluation image and key), the images (LEAKED), and counts by set.

    `engine` has the tables facts and removed. An exact duplicate group is matched once, by the row that it keeps.
    """
    ordinals, listed = sets.hashed()
    pairs = [_same_bytes(engine, sets)]
    for row_id, entry, apart in near_rows(hashes, listed, sets.threshold, memory, threads):
        pairs.append(np.stack([row_id, ordinals[entry], apart.astype(np.int64), np.zeros_like(row_id)], axis=1))
    found = np.concatenate(pairs)
    # A pair with the same bytes is also found by its hash: keep it once.
    found = found[np.lexsort((-found[:, 3], found[:, 1], found[:, 0]))]
    again = np.zeros(len(found), np.bool_)
    again[1:] = (found[1:, :2] == found[:-1, :2]).all(axis=1)
    matches, leaked = _matches(engine, sets, found[~again])
    return matches, leaked, _counts(sets, matches)


def _same_bytes(engine: Engine, sets: EvaluationSets) -> npt.NDArray[np.int64]:
    """Returns the pairs by sha256, int64 [pairs, 4]: row_id, entry, distance 0, same_bytes 1."""
    known = [(key_of(sha256), entry) for entry, sha256 in enumerate(sets.entries["sha256"].to_pylist()) if sha256]
    if not known:
        return np.zeros((0, 4), np.int64)
    keys, entries = zip(*known, strict=True)
    engine.bind("exactly", pa.table({"key": pa.array(keys, pa.string()), "entry": pa.array(entries, pa.int64())}))
    met = engine.run("evaluation_exact").read_all()
    pairs = np.zeros((len(met), 4), np.int64)
    pairs[:, 0], pairs[:, 1], pairs[:, 3] = met["row_id"].to_numpy(), met["entry"].to_numpy(), 1
    return pairs


def _matches(engine: Engine, sets: EvaluationSets, found: npt.NDArray[np.int64]) -> tuple[pa.Table, pa.Table]:
    engine.bind("matched", pa.table({"row_id": np.unique(found[:, 0])}))
    met = engine.run("evaluation_keys").read_all()
    rows, keys = met["row_id"].to_numpy(), met["key"]
    order = rows.argsort()
    positions = pa.array(order[np.searchsorted(rows[order], found[:, 0])])
    entries = sets.entries.take(pa.array(found[:, 1]))
    columns = [
        entries["set"],
        entries["name"],
        entries["sha256"],
        keys.take(positions),
        *found[:, :3:2].T,
        found[:, 3] == 1,
    ]
    arrays = [pa.chunked_array(column) if isinstance(column, pa.Array) else column for column in columns]
    table = pa.table(dict(zip(MATCHES.names, arrays, strict=True))).cast(MATCHES)
    order_by = ["set", "evaluation_name", "distance", "key", "row_id"]
    return table.sort_by([(name, "ascending") for name in order_by]), met.select(LEAKED.names).cast(LEAKED)


def _counts(sets: EvaluationSets, matches: pa.Table) -> dict[str, dict[str, int]]:
    """Returns by set: its images, its broken files, matched images of the corpus, and its own images that matched."""
    sizes = Counter(sets.entries["set"].to_pylist())
    plain = pc.less(pc.fill_null(sets.entries["pdq_quality"], 100), sets.quality)
    counts = {}
    for name in sorted({*sizes, *sets.broken}):
        own = matches.filter(pc.equal(matches["set"], name))
        counts[name] = {
            "pictures": sizes[name],
            "broken": sets.broken.get(name, 0),
            "low_quality": int(pc.sum(pc.and_(plain, pc.equal(sets.entries["set"], name))).as_py() or 0),
            "found": pc.count_distinct(own["row_id"]).as_py(),
            "found_same_bytes": pc.count_distinct(own.filter(own["same_bytes"])["row_id"]).as_py(),
            "met": pc.count_distinct(own["evaluation_name"]).as_py(),
        }
    return counts


Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint16]]


def near_rows(hashes: HashFile, listed: Words, threshold: int, memory: int, threads: int) -> Iterator[Pairs]:
    """Yields (row_ids of the file, ordinals of the list, Hamming distances) of all pairs within the threshold; pairs
    may repeat.

    Reads the file several times where the tables of the list do not fit into `memory` bytes at once. Skips rows of an
    extended corpus.
    """
    scheme = choose_scheme(threshold, min(len(listed), MAX_ENTRIES), hashes.rows)
    most = max(1, MAX_ENTRIES // scheme.neighbours)
    for first in range(0, len(listed), most):
        some = listed[first : first + most]
        size = scheme.table_bytes + 4 * len(some) * scheme.neighbours
        at_once = max(1, memory // 2 // size)
        for block in range(0, scheme.blocks, at_once):
            blocks = range(block, min(block + at_once, scheme.blocks))
            for row_id, entry, apart in _search(hashes, some, threshold, scheme, blocks, threads):
                yield row_id, entry + first, apart


def _search(
    hashes: HashFile, listed: Words, threshold: int, scheme: Scheme, blocks: range, threads: int
) -> Iterator[Pairs]:
    matcher = HammingIndex(listed, threshold, scheme, wide=True, blocks=blocks)

    def work(records: Records) -> Pairs:
        asked, entry, apart = matcher.pairs(np.ascontiguousarray(records["pdq"]))
        return records["row_id"][asked], entry, apart

    def blocks_of_new() -> Iterable[Records]:
        for records in hashes.blocks():
            new = records[~is_existing(records)]
            for start in range(0, len(new), _BLOCK):
                yield new[start : start + _BLOCK]

    pending: deque[Future[Pairs]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for block in blocks_of_new():
            pending.append(pool.submit(work, block))
            if len(pending) > 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
