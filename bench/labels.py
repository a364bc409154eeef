"""Measures the cost of a view: images with five tags each of a Zipf vocabulary of 500 thousand, counted, named and
labelled.

python bench/labels.py [--rows N ...] [--processes N] [--memory-limit SIZE] [--quick] [--folder DIR] [--out FILE.json]

For each number of rows a corpus of tables and indexes is made (50,000 samples a shard, without images, which are not
needed). Then in turn, each in a new process: `tagmill corpus view` with uniform resampling, from tables to a finished
view, and plain DuckDB with only the explode-and-count. Figures are seconds and the peak memory of all processes; the
ratio of the largest number of rows to the smallest shows how the cost grows.
"""

import argparse
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.bench import measure, processes

TAGS, WORDS, SHARD = 5, 500_000, 50_000
ROWS = (10_000_000, 100_000_000)
US, PEER = "tagmill view", "DuckDB explode and count"
COUNT = (
    "SELECT COUNT(*), SUM(n) FROM (SELECT tag, COUNT(*) AS n FROM (SELECT UNNEST(tags) AS tag FROM '{}') GROUP BY tag)"
)


def words() -> list[str]:
    """Returns the vocabulary in the order of its counts: WordNet's nouns, about every fifth, between words without
    meaning."""
    from tagmill.ingest.labels.synsets import WordNet

    nouns = sorted(WordNet.load().forms)
    made = [f"#tag{number:06d}" for number in range(WORDS - len(nouns))]
    draw = np.random.default_rng(0)
    return [str(word) for word in draw.permutation(np.array(nouns + made, object))]


def make(folder: Path, rows: int) -> str:
    """Makes a corpus of `rows` samples: tables of keys and tags, indexes, and a manifest."""
    from tagmill.shards.formats.npy import npy_bytes
    from tagmill.shards.formats.record import sha256_hex
    from tagmill.shards.formats.shard_index import INDEX
    from tagmill.shards.manifest import CorpusFile, ShardEntry, commit, put_manifest
    from tagmill.shards.storage.store import Store

    store, entries = Store(str(folder)), []
    if (folder / "corpus.json").exists():
        return str(folder)
    draw, text = np.random.default_rng(rows), pa.array(words())
    shares = np.cumsum(1.0 / np.arange(1, WORDS + 1))
    for number in range(-(-rows // SHARD)):
        count = min(SHARD, rows - number * SHARD)
        tags = np.searchsorted(shares, draw.random(count * TAGS) * shares[-1]).astype(np.int32)
        lists = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * TAGS, text.take(pa.array(tags)))
        digits = draw.bytes(16 * count).hex()
        keys = pa.array([digits[32 * i : 32 * (i + 1)] for i in range(count)])
        sink = io.BytesIO()
        pq.write_table(pa.table({"key": keys, "tags": lists}), sink, compression="zstd")
        name, digest = f"{number:06d}", hashlib.sha256(str(number).encode()).hexdigest()
        store.put(f"shards/{name}.parquet", sink.getvalue())
        index = np.zeros(count, INDEX)  # a view repeats it beside the labels
        index["key"] = np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(count, 16)
        records = npy_bytes(index)
        store.put(f"shards/{name}.npy", records)
        entries.append(ShardEntry(name, "train", count, 1, digest, sha256_hex(records), digest))
    commit(store, CorpusFile("labels", put_manifest(store, entries), {"samples": rows}))
    return str(folder)


def view(folder: str, options: argparse.Namespace, rows: int) -> dict[str, float]:
    shutil.rmtree(Path(folder) / "views", ignore_errors=True)
    code = (
        "import sys, json; from tagmill.ingest.views.view_command import ViewConfig, summary, view\n"
        "config = ViewConfig(corpus=sys.argv[1], name='v', min_count=20, resample='uniform', epoch_samples=int(sys.argv[2]),"
        " processes=int(sys.argv[3]), memory_limit=sys.argv[4], spool=sys.argv[5])\n"
        "if __name__ == '__main__': print(json.dumps(summary('v', view(config))))"
    )
    script = Path(folder).parent / "view.py"
    script.write_text(code)
    spool = Path(folder).parent / "spool"
    spool.mkdir(exist_ok=True)
    limits = [str(rows * 3 // 2), str(options.processes), options.memory_limit, str(spool)]
    return processes.watched([sys.executable, str(script), folder, *limits])


def explode(folder: str, options: argparse.Namespace) -> dict[str, float]:
    code = (
        "import duckdb, json, sys\n"
        "c = duckdb.connect(config={'memory_limit': sys.argv[2], 'threads': int(sys.argv[3])})\n"
        "c.execute('SET enable_progress_bar = false')\n"  # which it draws on standard output
        "found = c.execute(sys.argv[1]).fetchone(); print(json.dumps({'words': found[0], 'tags': int(found[1])}))"
    )
    query = COUNT.format(f"{folder}/shards/*.parquet")
    return processes.watched([sys.executable, "-c", code, query, options.memory_limit, str(options.processes)])


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, action="append", help="images; may be repeated")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--memory-limit", default="4GB", help="of the SQL engine, theirs and ours")
    parser.add_argument("--folder", type=Path, default=measure.ROOT / "build" / "bench" / "labels")
    parser.set_defaults(rounds=1)
    options = parser.parse_args()
    sizes = options.rows or ((100_000, 400_000) if options.quick else ROWS)
    runs: dict[str, list[dict[str, float]]] = {}
    for rows in sizes:
        print(f"making {rows:,} rows", file=sys.stderr)
        folder = make(options.folder / str(rows), rows)
        for _ in range(options.rounds):
            runs.setdefault(f"{US}, {rows:,}", []).append(view(folder, options, rows))
            runs.setdefault(f"{PEER}, {rows:,}", []).append(explode(folder, options))
            conclude(runs, sizes, options.out)  # after every round, so that an aborted run keeps its results
    for name, case in conclude(runs, sizes, options.out)[0].items():
        print(f"{name:44} {case['median']:8.1f} s   {case['peak_memory_bytes'] / 1e9:5.2f} GB")
    for name, ratio in conclude(runs, sizes, options.out)[1].items():
        print(f"{name:60} {ratio:6.2f}")


def conclude(
    runs: dict[str, list[dict[str, float]]], sizes: Sequence[int], out: Path | None
) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Writes the medians so far, and how they grow from the first number of rows to the last."""
    cases: dict[str, dict[str, Any]] = {}
    for name, found in runs.items():
        middle = sorted(found, key=lambda run: run["seconds"])[len(found) // 2]
        cases[name] = {"unit": "s", "median": middle["seconds"], "runs": [run["seconds"] for run in found], **middle}
    ratios = {}
    for kind in (US, PEER):
        least, most = (f"{kind}, {rows:,}" for rows in (sizes[0], sizes[-1]))
        if least != most and most in cases:
            growth = cases[most]["median"] / cases[least]["median"]
            ratios[f"{kind}: {sizes[-1]:,} / {sizes[0]:,} rows"] = growth
    if out is not None:
        measure.write("labels", cases, ratios, out)
    return cases, ratios


if __name__ == "__main__":
    main()
