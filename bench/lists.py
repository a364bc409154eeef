"""Measures the cost of a long list before its first image is stored: partitioning all of it, then fetching one part.

python bench/lists.py [--rows N ...] [--memory-limit SIZE] [--rows-per-part N] [--quick] [--folder DIR] [--out FILE.json]

For each number of rows a Parquet list is made (a URL of one of 100,000 hosts, three tags, a caption). A new process
partitions it and makes the first part, whose images come from a server on loopback that serves as a proxy; the other
parts are not fetched. Figures are rows partitioned a second and the peak memory of all processes. The bound is the
memory limit plus 300 MB for the interpreter and its libraries.
"""

import argparse
import io
import os
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tagmill.bench import measure, processes
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.shards.storage.marked_folder import claim, discard

ROWS = (1_000_000, 10_000_000, 100_000_000)
BLOCK, HOSTS, WORDS = 100_000, 100_000, 50_000
ABOVE_THE_LIMIT = 300_000_000  # bytes
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
WORK = """
import json, sys, time
from pathlib import Path
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.parts.partition import partition
from tagmill.ingest.parts.run import run_parts
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.storage.store import Store

if __name__ == "__main__":
    source, output, spool, limit, rows_per_part = sys.argv[1:]
    config = IngestConfig(
        input=(source,), output=output, spool=spool, memory_limit=limit, processes=1, extra_columns=("caption",),
        rows_per_part=int(rows_per_part),
    )
    store, begun = Store(output), time.perf_counter()
    dealt = partition(config, store, Path(spool))
    seconds = time.perf_counter() - begun
    (part,) = run_parts(config, store, 1, Silent())
    print(json.dumps({"rows": dealt.rows, "parts": dealt.num_parts, "deal_seconds": seconds, "part_ok": part.ok}))
"""


class Picture(BaseHTTPRequestHandler):
    """Serves the same image under every URL, followed by noise, so that no two bodies are equal."""

    def do_GET(self) -> None:
        body = PICTURE + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Logs nothing."""


def picture() -> bytes:
    file = io.BytesIO()
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    return file.getvalue()


PICTURE = picture()


def make(path: Path, rows: int) -> Path:
    """Makes a list of `rows` rows."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("url", pa.string()), ("tags", pa.list_(pa.string())), ("caption", pa.string())])
    draw, half = np.random.default_rng(rows), path.with_suffix(".half")
    with pq.ParquetWriter(half, schema, compression="zstd") as writer:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            hosts = draw.integers(0, HOSTS, count).tolist()
            urls = [f"http://h{host}.example.org/photos/{start + i:012d}.jpg" for i, host in enumerate(hosts)]
            tags = pa.array(draw.integers(0, WORDS, 3 * count)).cast(pa.string())
            lists = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * 3, tags)
            captions = [f"picture {start + i}, which no one has seen before, nor will again" for i in range(count)]
            writer.write_table(pa.table([urls, lists, captions], schema=schema))
    half.rename(path)
    return path


def size_of(text: str) -> int:
    """Parses a size such as 500MB to bytes."""
    unit = text.lstrip("0123456789. ")
    return int(float(text.removesuffix(unit)) * UNITS[unit])


def case(source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Measures one number of rows, in a new process."""
    folder = options.folder / "work"
    if not discard(folder):
        raise FileExistsError(f"{folder} was not made by this benchmark: give another --folder")
    claim(folder)
    (folder / "spool").mkdir(parents=True)
    script = folder / "work.py"
    script.write_text(WORK)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Picture)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["http_proxy"], os.environ["no_proxy"] = f"http://127.0.0.1:{server.server_port}", ""
    places = [
        str(source),
        str(folder / "corpus"),
        str(folder / "spool"),
        options.memory_limit,
        str(options.rows_per_part),
    ]
    try:
        found = processes.watched([sys.executable, str(script), *places])
    finally:
        server.shutdown()
        server.server_close()
    shutil.rmtree(folder)
    return {"unit": "rows/s", "median": found["rows"] / found["deal_seconds"], **found}


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, action="append", help="rows; may be repeated")
    parser.add_argument("--memory-limit", default="500MB")
    parser.add_argument("--rows-per-part", type=int, default=IngestConfig.rows_per_part)
    parser.add_argument("--folder", type=Path, default=measure.ROOT / "build" / "bench" / "lists")
    options = parser.parse_args()
    allowed, cases = size_of(options.memory_limit) + ABOVE_THE_LIMIT, {}
    for rows in options.rows or ((20_000, 60_000) if options.quick else ROWS):
        found = cases[f"{rows:,} rows"] = case(make(options.folder / f"{rows}.parquet", rows), options)
        peak = found["peak_memory_bytes"]
        print(f"{rows:>13,} rows  {found['median']:10,.0f} rows/s  {found['deal_seconds']:8.1f} s", end="")
        print(f"  peak {peak / 1e6:6.0f} MB of {allowed / 1e6:.0f}{'' if peak <= allowed else '  TOO MUCH'}")
        if options.out is not None:
            measure.write("lists", cases, {"peak/allowed": peak / allowed}, options.out)


if __name__ == "__main__":
    main()
