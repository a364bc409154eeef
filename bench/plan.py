"""Measures the cost of planning an epoch of billions: a synthetic corpus of 350,000 shards, opened by the loader in new
processes.

python bench/plan.py [--shards N] [--quick] [--rounds N] [--folder DIR] [--out FILE.json]

Prints, for a view with every sample once and for one that repeats them up to 64 times: seconds until a rank is ready
and its memory above the imports, for the first rank of a machine and for later ones; the memory of 8 ranks together;
milliseconds to resume at any turn; and whether sampled steps over all of 336 and 328 ranks are exactly once.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLES = 10_000  # samples of a shard
BATCH = 8064  # 24 on each of 336 ranks
WORLD, SMALLER = 336, 328
RANKS = 8  # ranks of a machine
MOST_COPIES = 64
STATUS, SMAPS = Path("/proc/self/status"), "/proc/{}/smaps_rollup"


def parquet(table: dict[str, Any], schema: Any) -> bytes:
    """Writes a table as ingest does, but from columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pydict(table, schema), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def digests(random: np.random.Generator, count: int) -> list[str]:
    text = random.bytes(32 * count).hex()
    return [text[64 * i : 64 * (i + 1)] for i in range(count)]


def make_corpus(folder: Path, shards: int) -> str:
    """Writes `corpus.json`, the manifest and two views: all parts of a corpus that planning reads."""
    from tagmill.shards.formats.record import sha256_hex
    from tagmill.shards.manifest import SHARDS, CorpusFile, Named, commit
    from tagmill.shards.storage.store import Store

    generator, store = np.random.default_rng(0), Store(str(folder))
    names, samples = [f"{number:06d}" for number in range(shards)], [SAMPLES] * shards
    facts = {"name": names, "split": ["train"] * shards, "samples": samples}
    sizes = (SAMPLES * generator.normal(20_000, 100, shards)).astype(np.int64)
    hashes = {f"{kind}_sha256": digests(generator, shards) for kind in ("tar", "index", "table")}
    data = parquet({**facts, "bytes": sizes, **hashes}, SHARDS)
    manifest = Named(f"manifests/shards-{sha256_hex(data)[:12]}.parquet", sha256_hex(data))
    store.put_new(manifest.path, data)
    views = {kind: make_view(store, kind, facts, manifest.sha256, generator) for kind in ("natural", "uniform")}
    commit(store, CorpusFile("synthetic", manifest, {"shards": shards, "samples": shards * SAMPLES}, views))
    return store.url


def make_view(store: Any, kind: str, facts: dict[str, Any], manifest: str, generator: np.random.Generator) -> Any:
    """`uniform`: run j contains about 1 / (j + 1) of a shard's samples, the last runs exist in some shards only."""
    from tagmill.shards.formats.record import sha256_hex
    from tagmill.shards.manifest import Named
    from tagmill.shards.view import ONE, VIEW_SHARDS, ViewFile

    shards = len(facts["name"])
    if kind == "natural":
        counts: list[Any] = [[SAMPLES]] * shards
        fractions, sums = [0] * shards, [0] * shards
        runs: list[Any] = [None] * shards
        extras: list[Any] = [None] * shards
    else:
        means = SAMPLES / np.arange(1, MOST_COPIES + 1) ** 2.2
        drawn = np.minimum.accumulate(generator.poisson(means, (shards, MOST_COPIES)), axis=1)
        counts = [row[:length] for row, length in zip(drawn, (drawn > 0).sum(axis=1), strict=True)]
        fractions = generator.integers(4000, 6000, shards).tolist()
        sums = [each * ONE // 2 for each in fractions]
        runs, extras = digests(generator, shards), digests(generator, shards)
    columns = {"counts": counts, "fractions": fractions, "fraction_sum": sums}
    columns |= {"labels_sha256": digests(generator, shards), "runs_sha256": runs, "extras_sha256": extras}
    columns["facts_sha256"] = digests(generator, shards)
    data = parquet({**facts, **columns}, VIEW_SHARDS)
    folder = f"views/{kind}/synthetic"
    store.put(f"{folder}/shards.parquet", data)
    file = ViewFile(kind, manifest, "0" * 64, sha256_hex(data), 16, 7, {}, {})
    text = json.dumps(asdict(file)).encode()
    store.put(f"{folder}/view.json", text)
    return Named(f"{folder}/view.json", sha256_hex(text))


def memory(field: str) -> float:
    """Returns a field of this process's status, in MB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


def pss(process: int) -> float:
    """Returns this process's share of the memory that it touched, in MB."""
    text = Path(SMAPS.format(process)).read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def open_loader(url: str, view: str, cache: str, rank: int, size: int = WORLD) -> Any:
    from tagmill.pipeline import Loader, LoaderConfig, World

    streams = LoaderConfig().resolve_streams(WORLD)
    config = LoaderConfig(view=view, batch_size=BATCH, streams=streams, plan_cache=cache)
    return Loader(url, config, World(rank, size))


def worker(url: str, view: str, cache: str, rank: str) -> None:
    """Runs one rank: reports its imports, waits for a line, opens the loader, resumes at some turns, waits again."""
    import torch  # noqa: F401  # what a trainer has imported anyway

    import tagmill.pipeline  # noqa: F401

    before, own = memory("VmRSS"), pss(os.getpid())
    print("imported", flush=True)
    sys.stdin.readline()
    start, worked = time.perf_counter(), time.process_time()
    loader = open_loader(url, view, cache, int(rank))
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    rss, peak = memory("VmRSS") - before, memory("VmHWM") - before
    turns, resumed = loader.samples_per_epoch, []
    tail = loader._schedule.plan(0).tail_start // BATCH
    for batch in (tail, tail + 1, (turns - 1) // BATCH, *(random.randrange(turns // BATCH) for _ in range(20))):
        turn = batch * BATCH
        start = time.perf_counter()
        resume(loader, turn)
        resumed.append(1000 * (time.perf_counter() - start))
    after = memory("VmRSS") - before
    print(json.dumps([seconds, worked, rss, peak, after, own, float(np.median(resumed)), max(resumed)]), flush=True)
    sys.stdin.readline()


def resume(loader: Any, turn: int) -> None:
    """Computes everything that precedes the first read of a chunk."""
    loader.load_state_dict({**loader.state_dict(), "turn": turn})
    schedule, epoch = loader._schedule, 0
    next(schedule.steps(epoch, turn))
    _, visit = next(schedule.visits(epoch, turn))
    for span in loader.space.spans_at(epoch, visit.positions):
        loader.corpus.entry(span.shard)
        loader.view.shard(span.shard)


def ranks(url: str, view: str, cache: str, number: int) -> tuple[list[list[float]], float, float]:
    """Returns figures of `number` ranks that start together, PSS of all together, and the imports' part of it, in MB."""
    command = [sys.executable, __file__, "--worker", url, view, cache]
    started = [
        subprocess.Popen([*command, str(rank)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for rank in range(number)
    ]
    for process in started:
        _read(process)
    imports = sum(pss(process.pid) for process in started)
    for process in started:
        _go_on(process)
    figures = [json.loads(_read(process)) for process in started]
    together = sum(pss(process.pid) for process in started)
    for process in started:
        _go_on(process)
        process.wait()
    return figures, together, imports


def _read(process: Any) -> str:
    text: str = process.stdout.readline()
    if not text:
        sys.exit("a rank died: see above")
    return text


def _go_on(process: Any) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def exactly_once(url: str, view: str, cache: str, steps: int) -> int:
    """Checks sampled steps and a sampled block over all ranks of both worlds; returns the number of turns checked."""
    from tagmill.pipeline.config import World

    loader, checked = open_loader(url, view, cache, 0), 0
    plan, generator = loader._schedule.plan(0), np.random.default_rng(1)
    last = (plan.num_turns - 1) // BATCH * BATCH
    starts = [0, plan.tail_start // BATCH * BATCH, last, *(generator.integers(0, last // BATCH, steps) * BATCH)]
    for size in (WORLD, SMALLER):
        for start in map(int, starts):
            turns = np.concatenate([plan.local_turns(start, BATCH, World(rank, size)) for rank in range(size)])
            wanted = np.arange(start, min(start + BATCH, plan.num_turns))
            expect(np.array_equal(np.sort(turns), wanted), f"turns from {start} on {size} ranks")
            positions = np.sort(plan.positions(turns))
            expect(bool((np.diff(positions) > 0).all()), f"positions of the step at {start} on {size} ranks")
            expect_samples(loader, positions)
            checked += len(turns)
        block = int(generator.integers(0, plan.tail_start // plan.block)) * plan.block
        opened = [visit.positions for rank in range(size) for visit in visits_of_block(plan, block, World(rank, size))]
        wanted = np.sort(plan.positions(np.arange(block, block + plan.block)))
        expect(np.array_equal(np.sort(np.concatenate(opened)), wanted), f"visits of the block at {block}")
        checked += plan.block
    return checked


def visits_of_block(plan: Any, start: int, world: Any) -> list[Any]:
    found, left = [], len(plan.local_turns(start, plan.block, world))
    for visit in plan.visits(start, world):
        found.append(visit)
        left -= len(visit.positions)
        if left <= 0:
            break
    return found


def expect_samples(loader: Any, positions: npt.NDArray[np.int64]) -> None:
    """Checks that distinct positions are distinct offsets of runs, and that runs have the lengths of the view."""
    places, total = set[tuple[int, int, int]](), 0
    for span in loader.space.spans_at(0, positions):
        if total < 500:  # the request takes longer than the rest
            counts = loader.view.shard(span.shard).counts
            expect(span.copy < 0 or span.stop <= counts[span.copy], f"{span} is outside its run")
        places.update((span.shard, span.copy, place) for place in range(span.start, span.stop))
        total += len(span)
    expect(total == len(positions) == len(places), "positions that are not one sample each")


def expect(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"not exactly once: {what}")


def main() -> None:
    from tagmill.bench import measure

    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--shards", type=int, default=350_000)
    parser.add_argument("--folder", type=Path, help="where the synthetic corpus and the shared tables go")
    parser.set_defaults(rounds=2)
    options = parser.parse_args()
    shards = 20_000 if options.quick else options.shards
    rounds, runs = 1 if options.quick else options.rounds, dict[str, list[float]]()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        url = make_corpus(Path(folder) / "corpus", shards)
        for view in ("natural", "uniform"):
            for number in range(rounds):
                cache = f"{folder}/cache-{view}-{number}"
                for case, count in (("first rank", 1), ("a rank after it", 1)):
                    add(runs, f"{view}, {case}", *ranks(url, view, cache, count))
                add(runs, f"{view}, {RANKS} ranks at once, first of all", *ranks(url, view, f"{cache}-{RANKS}", RANKS))
            print(
                f"{view}: {exactly_once(url, view, cache, 1 if options.quick else 4):,} turns, exactly once", flush=True
            )
        for name, values in runs.items():
            print(f"{name:62} {np.median(values):10.2f}   worst {max(values):10.2f}")
    if options.out is not None:
        cases = {
            name: {"unit": name.rpartition(", ")[2], "median": float(np.median(v)), "runs": v}
            for name, v in runs.items()
        }
        measure.write("plan", cases, {}, options.out)


def add(runs: dict[str, list[float]], case: str, figures: list[list[float]], together: float, imports: float) -> None:
    """Returns the slowest and largest values of the ranks."""
    seconds, worked, rss, peak, after, _, median, worst = np.max(np.array(figures), axis=0).tolist()
    named = {"ready, s": seconds, "ready, s of CPU": worked}  # the second is useful on a busy machine too
    named |= {"above imports, MB": rss, "peak above imports, MB": peak, "after resuming, MB": after}
    named |= {"resume median, ms": median, "resume worst, ms": worst}
    named |= {"PSS together, MB": together, "PSS of the imports, MB": imports}
    for name, value in named.items():
        runs.setdefault(f"{case}: {name}", []).append(value)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(*sys.argv[2:])
    else:
        main()
