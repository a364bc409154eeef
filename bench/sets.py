"""Measures the cost of an ingest's deduplication: exact groups, evaluation sets, near duplicates, the selection, and
tags counted.

python bench/sets.py [--rows N ...] [--memory SIZE] [--block-rows N] [--quick] [--folder DIR] [--out FILE.json]

For each number of rows the facts of as many images are made: one in ten has another's bytes, one in twenty is near
another at 1 to 31 bits, each distance equally often; 50,000 evaluation hashes, a thousand of them near an image; three
tags a row of a Zipf vocabulary. Then, in its own process, all of `select` runs on them, and tags are counted over
samples with those of their duplicates. Facts are in a file a part, as ingest leaves them. Figures are seconds, the peak
memory of the process tree, bytes spilled, and the planted pairs found at each distance, compared with the prediction
for these tables.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.bench import measure, processes
from tagmill.shards.storage.marked_folder import claim, discard

ROWS = (10_000_000, 100_000_000)
BLOCK, PART, GROUP = 1_000_000, 10_000, 16  # rows made at a time, by default, and of a part; parts of a pack group
TAGS, WORDS = 3, 500_000
EVALUATION, LEAKED = 50_000, 1_000
FARTHEST = 31
EVERY = 0.5  # seconds between two measurements of memory and spool
HELD_OUT = 50_000  # and at most one in twenty
FACTS = pa.schema(
    [
        *(pa.field(name, pa.int64()) for name in ("row_id",)),
        *(pa.field(name, pa.int32()) for name in ("part", "place")),
        *(pa.field(name, pa.string()) for name in ("url", "reason", "key")),
        *(pa.field(f"pdq{word}", pa.int64()) for word in range(4)),
        *(pa.field(name, pa.int32()) for name in ("pdq_quality", "original_width", "original_height")),
        *(pa.field(name, pa.int64()) for name in ("sample_bytes", "holdout_order")),
        pa.field("tags", pa.list_(pa.string())),
    ]
)


def hashes(draw: np.random.Generator, count: int) -> npt.NDArray[np.uint64]:
    return draw.integers(0, 1 << 64, (count, 4), np.uint64)


def flipped(
    draw: np.random.Generator, words: npt.NDArray[np.uint64], bits: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint64]:
    """Returns hashes that differ from these in that many bits."""
    turns = draw.random((len(words), 256), np.float32).argsort(axis=1)
    flips = np.packbits(turns < bits[:, None], axis=1).view(">u8")
    return words ^ flips.astype(np.uint64)


def distance_of(planted: int) -> npt.NDArray[np.int64]:
    return np.arange(planted) % FARTHEST + 1


def own_and_near(size: int) -> tuple[int, int]:
    """Divides a block's rows: its own images come first, then near duplicates of the first of them, then exact copies of
    the last."""
    return size * 85 // 100, size * 5 // 100


def facts_file(part: int) -> str:
    return f"facts/{part:06d}.parquet"


def make(folder: Path, rows: int, size: int = BLOCK) -> None:
    """Makes the facts of `rows` images, `size` at a time, and the evaluation set."""
    if (folder / "made").exists():
        return
    if not discard(folder):
        raise FileExistsError(f"{folder} was not made by this benchmark: give another --folder")
    claim(folder)
    (folder / "facts").mkdir()
    words = pa.array([f"#tag{number:06d}" for number in range(WORDS)])
    shares = np.cumsum(1.0 / np.arange(1, WORDS + 1))
    shares /= shares[-1]
    leaked, (own_rows, near_rows) = [], own_and_near(size)
    for number in range(rows // size):
        draw = np.random.default_rng([rows, number])
        own = hashes(draw, own_rows)
        near = flipped(draw, own[:near_rows], distance_of(near_rows))
        copied = np.arange(own_rows - (size - own_rows - near_rows), own_rows)
        pdq = np.concatenate([own, near, own[copied]]).view(np.int64)
        digests = hashes(draw, own_rows + near_rows)
        digests = np.concatenate([digests, digests[copied]])
        sides = draw.integers(200, 2000, (size, 2), np.int32)
        sides[own_rows + near_rows :] = sides[copied]
        leaked.append(own[near_rows : near_rows + LEAKED * size // rows])
        _write(folder, number, pdq, digests, sides, words, shares, draw)
    draw = np.random.default_rng([rows, 1 << 20])  # of no block
    met = np.concatenate(leaked)
    listed = np.concatenate([flipped(draw, met, distance_of(len(met))), hashes(draw, EVALUATION - len(met))])
    pq.write_table(
        pa.table({f"pdq{word}": listed[:, word].view(np.int64) for word in range(4)}), folder / "evaluation.parquet"
    )
    (folder / "made").write_text(str(len(met)))


def _write(
    folder: Path,
    number: int,
    pdq: npt.NDArray[np.int64],
    digests: npt.NDArray[np.uint64],
    sides: npt.NDArray[np.int32],
    words: pa.Array,
    shares: npt.NDArray[np.float64],
    draw: np.random.Generator,
) -> None:
    """Writes a block, a file a part: row r is row r % PART of its part, as ingest writes it."""
    size = len(pdq)
    rows = np.arange(size) + number * size
    keys = np.frombuffer(np.ascontiguousarray(digests[:, :2].astype(">u8")).tobytes().hex().encode(), "S32")
    tags = np.searchsorted(shares, draw.random(size * TAGS)).astype(np.int32)
    columns: dict[str, Any] = {
        "row_id": rows,
        "part": rows // PART,
        "place": rows % PART,
        "url": pc.binary_join_element_wise("https://example.org/", pa.array(rows).cast(pa.string()), ""),
        "reason": pa.nulls(size, pa.string()),
        "key": pa.array(keys).cast(pa.string()),
        **{f"pdq{word}": pdq[:, word] for word in range(4)},
        "pdq_quality": np.full(size, 90, np.int32),
        "original_width": sides[:, 0],
        "original_height": sides[:, 1],
        "sample_bytes": np.full(size, 20_480),
        "holdout_order": digests[:, 2].view(np.int64),
        "tags": pa.ListArray.from_arrays(np.arange(size + 1, dtype=np.int32) * TAGS, words.take(pa.array(tags))),
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in FACTS]
    table = pa.Table.from_arrays(arrays, schema=FACTS)
    for start in range(0, size, PART):
        path = folder / facts_file((number * size + start) // PART)
        pq.write_table(table.slice(start, PART), path, compression="zstd")


# As a view counts them: the tags of samples, and those of duplicates, by the sample that is kept.
KEPT = (
    "SELECT COUNT(*), SUM(n) FROM (SELECT tag, COUNT(*) AS n FROM (SELECT UNNEST(tags) AS tag FROM kept) GROUP BY tag)"
)
MERGED = """
SELECT COUNT(*), SUM(n) FROM (
    SELECT yields_to, tag, COUNT(*) AS n FROM (SELECT yields_to, UNNEST(tags) AS tag FROM merged) GROUP BY yields_to, tag
)
"""


def count(folder: Path, rows: int, size: int, memory: int) -> dict[str, int]:
    """Returns different tags of samples, all of them, and pairs of sample and tag that duplicates add."""
    import duckdb

    schema = pa.schema([("yields_to", pa.string()), ("tags", pa.list_(pa.string()))])

    def stream(kept: bool) -> Iterator[pa.RecordBatch]:
        for number, fates in _fates(folder, rows, size, ["part", "split", "yields_to"]):
            parts = range(number * size // PART, (number + 1) * size // PART)
            files = [pq.ParquetFile(folder / facts_file(part)) for part in parts]
            tags = pa.concat_tables([file.read(["tags"], use_threads=False) for file in files])["tags"]
            table = pa.table({"yields_to": fates["yields_to"], "tags": tags}, schema)
            yield from table.filter(fates["split" if kept else "yields_to"].is_valid()).to_batches(1 << 16)

    limits: dict[str, Any] = {"memory_limit": f"{memory}B", "threads": 2, "temp_directory": str(folder / "engine")}
    with duckdb.connect(config=limits) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.register("kept", pa.RecordBatchReader.from_batches(schema, stream(kept=True)))
        words, tags = connection.execute(KEPT).fetchall()[0]
        connection.register("merged", pa.RecordBatchReader.from_batches(schema, stream(kept=False)))
        merged, _ = connection.execute(MERGED).fetchall()[0]
    return {"words": words, "tags": int(tags), "merged": merged}


def work(folder: Path, rows: int, size: int, memory: int) -> dict[str, Any]:
    """The measured process: deduplication over the facts of a folder, then the count."""
    from tagmill.ingest.config.memory import shared
    from tagmill.ingest.dedup.decontamination import ENTRIES, EvaluationSets
    from tagmill.ingest.dedup.near_duplicates import NearRules
    from tagmill.ingest.dedup.resolve import SetRules
    from tagmill.ingest.dedup.selection import select
    from tagmill.ingest.engines.duckdb import DuckDB
    from tagmill.ingest.engines.engine import parquet_of
    from tagmill.shards.storage.store import Store

    pa.set_io_thread_count(2)
    pa.set_cpu_count(2)
    files = [facts_file(part) for part in range(rows // PART)]
    facts = parquet_of(Store(str(folder)), files, pa.schema([field for field in FACTS if field.name != "tags"]))
    listed = pq.read_table(folder / "evaluation.parquet")
    columns = {
        "set": ["val"] * len(listed),
        "name": [f"{number:06d}" for number in range(len(listed))],
        "sha256": pa.nulls(len(listed), pa.string()),
        **{name: listed[name] for name in listed.column_names},
        "pdq_quality": [90] * len(listed),
    }
    store, seconds = Store(str(folder / "corpus")), {}
    engine_memory, beside = shared(memory)
    begun = time.perf_counter()
    engine = DuckDB(folder / "engine", memory_limit=f"{engine_memory}B", threads=2)
    rules = SetRules(
        placeholder_urls=1000,
        near=NearRules(),
        evaluation=EvaluationSets(pa.table(columns).cast(ENTRIES)),
        memory=beside,
        threads=2,
    )
    spool = folder / "spool"
    selected = select(
        engine,
        store,
        facts,
        rows=rows,
        num_parts=rows // PART,
        parts_per_group=GROUP,
        holdout=min(HELD_OUT, rows // 20),
        spool=spool,
        rules=rules,
    )
    seconds["select"] = time.perf_counter() - begun
    engine.close()
    begun = time.perf_counter()
    tags = count(folder, rows, size, engine_memory)
    seconds["count"] = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "tags": tags,
        "reasons": selected.reasons,
        "counts": asdict(selected.counts),
    }


def recall(folder: Path, rows: int, size: int) -> dict[str, list[float]]:
    """Returns the share of planted pairs of which one is dropped as a near duplicate, by distance 1 to FARTHEST."""
    found, total, (own, near_rows) = np.zeros(FARTHEST + 1), np.zeros(FARTHEST + 1), own_and_near(size)
    distances = distance_of(near_rows)
    for _, fates in _fates(folder, rows, size, ["part", "reason"]):
        reasons = fates["reason"].to_numpy()
        first, second = reasons[:near_rows], reasons[own : own + near_rows]
        met = (first == "near_duplicate") | (second == "near_duplicate")
        gone = (first == "evaluation") | (second == "evaluation")
        found += np.bincount(distances[met & ~gone], minlength=FARTHEST + 1)
        total += np.bincount(distances[~gone], minlength=FARTHEST + 1)
    return {"found": (found[1:] / total[1:]).round(4).tolist(), "pairs": total[1:].tolist()}


def _fates(folder: Path, rows: int, size: int, columns: list[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yields the selection's rows, a block at a time, in its order; the first column is the part."""
    for number in range(rows // size):
        first, last = number * size // PART, (number + 1) * size // PART
        names = [f"{group:06d}.parquet" for group in sorted({part // GROUP for part in range(first, last)})]
        files = [folder / "corpus" / "parts" / "selection" / name for name in names]
        table = pa.concat_tables([pq.read_table(file, columns=columns) for file in files])
        parts = table["part"].to_numpy()
        yield number, table.slice(int((parts < first).sum()), size)


def watched(folder: Path, rows: int, size: int, memory: int) -> dict[str, Any]:
    """Runs the work in its own process, and measures the peaks of its memory and disk use."""
    for name in ("corpus", "engine", "spool"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "spool").mkdir()
    command = [sys.executable, __file__, "--work", str(folder), str(rows), str(size), str(memory)]
    begun, peak, disk = time.perf_counter(), 0, 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, processes.pss_bytes(process.pid))
            disk = max(disk, sum(_sizes_below(folder / name) for name in ("engine", "spool")))
            time.sleep(EVERY)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"the work on {rows:,} rows ended with {process.returncode}")
    told = json.loads(said.splitlines()[-1])
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "peak_memory_bytes": peak, "peak_spool_bytes": disk, "told": told}


def _sizes_below(folder: Path) -> int:
    """Returns the bytes of files, any of which may disappear meanwhile."""
    total = 0
    for here, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(here, name).stat().st_size
    return total


def judged(folder: Path, rows: int, size: int, run: dict[str, Any]) -> dict[str, Any]:
    """Runs once and adds how many of the planted rows were found."""
    met, predicted = recall(folder, rows, size), run["told"]["counts"]["near"]["predicted"]
    leaks = pq.read_table(folder / "corpus" / "decontamination.parquet")
    planted = int((folder / "made").read_text())
    names = {int(name) for name in leaks["evaluation_name"].to_pylist()}
    apart = max(abs(a - b) for a, b in zip(met["found"], predicted[1:], strict=True))
    return {
        **run,
        "recall": met["found"],
        "predicted": predicted[1:],
        "pairs_by_distance": met["pairs"],
        "largest_gap": round(apart, 4),
        "evaluation_recall": sum(number in names for number in range(planted)) / planted,
        "evaluation_planted": planted,
    }


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        folder, numbers = Path(sys.argv[2]), (int(text) for text in sys.argv[3:])
        print(json.dumps(work(folder, *numbers)))
        return
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, action="append", help="a multiple of --block-rows; may be repeated")
    parser.add_argument("--block-rows", type=int, default=BLOCK, help=f"rows made at a time, a multiple of {PART}")
    parser.add_argument("--memory", default="6GiB", help="limit of the process tree")
    parser.add_argument("--folder", type=Path, default=measure.ROOT / "build" / "bench" / "sets")
    parser.set_defaults(rounds=1)
    options = parser.parse_args()
    from tagmill.ingest.config.memory import bytes_of

    memory, size = bytes_of(options.memory), options.block_rows
    cases: dict[str, dict[str, Any]] = {}
    sizes = options.rows or ((1_000_000, 2_000_000) if options.quick else ROWS)
    if size < PART or size % PART or any(rows < size or rows % size for rows in sizes):
        parser.error(f"--block-rows must be a multiple of {PART}, and --rows one of --block-rows")
    for rows in sizes:
        folder = options.folder / f"{rows}-in-{size}"
        print(f"making {rows:,} rows", file=sys.stderr)
        make(folder, rows, size)
        runs = [judged(folder, rows, size, watched(folder, rows, size, memory)) for _ in range(options.rounds)]
        middle = sorted(runs, key=lambda run: float(run["seconds"]))[len(runs) // 2]
        case = {"unit": "s", "median": middle["seconds"], "runs": [run["seconds"] for run in runs], **middle}
        cases[f"{rows:,} rows"] = case
        print(f"{rows:>12,} rows {case['median']:8.1f} s  {case['peak_memory_bytes'] / 1e9:5.2f} GB memory", end="  ")
        print(
            f"{case['peak_spool_bytes'] / 1e9:6.2f} GB spool  largest gap of recall {case['largest_gap']:.4f}", end="  "
        )
        print(f"evaluation recall {case['evaluation_recall']:.4f}")
        if options.out is not None:
            measure.write("sets", cases, _ratios(cases, sizes), options.out)


def _ratios(cases: dict[str, dict[str, Any]], sizes: tuple[int, ...] | list[int]) -> dict[str, float]:
    least, most = (f"{rows:,} rows" for rows in (sizes[0], sizes[-1]))
    return (
        {f"{most} / {least}": cases[most]["median"] / cases[least]["median"]} if least != most and most in cases else {}
    )


if __name__ == "__main__":
    main()
