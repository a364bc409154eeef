"""Measures how much a hostile web delays a run: a list with a fifth of hostile URLs, and its honest rows without them.

python bench/hostile.py [--count N] [--timeout SECONDS] [--concurrency N] [--quick] [--out FILE.json]

One server on loopback answers four URLs in five correctly and misbehaves in a dozen ways for the rest; a fifth of those
take all the time they can get. A run must end within the honest time + ceil(slow URLs x (1 + retries) / concurrency) x
deadline, and every reason must be counted exactly. Prints the seconds of both runs and of that bound, and the reasons.
"""

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagmill.bench import measure
from tagmill.bench.lists import PICTURE

COUNT, LIARS = 8_000, 5  # URLs; one in that many is hostile
DRIP = 0.1  # seconds between two bytes
WORK = """
import json, sys
from tagmill.ingest import IngestConfig, ingest

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    report = ingest(IngestConfig(input=(told.pop("input"),), **told))
    print(json.dumps({"samples": report.samples["train"], "rejects": report.rejects}))
"""


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


# The answer to a path with this prefix, and the reason that must be counted. The server closes the connection after
# each.
QUICK = {
    "page": (answer("200 OK", b"<html>", "Content-Type: image/jpeg"), "not_an_image"),
    "short": (answer("200 OK", PICTURE, length=len(PICTURE) + 500), "truncated"),
    "cut": (answer("200 OK", PICTURE[:-900]), "truncated"),
    "claims": (answer("200 OK", b"x", length=10**12), "too_big"),
    "loop": (b"", "redirects"),  # to itself
    "file": (answer("302 Found", b"", "Location: file:///etc/passwd"), "redirects"),
    "headers": (answer("200 OK", b"", f"X-Padding: {'x' * 100_000}"), "bad_headers"),
    "noise": (b"\x16\x03\x01 no HTTP at all\r\n\r\n", "bad_headers"),
    "gone": (answer("404 Not Found"), "not_found"),
    "empty": (answer("200 OK"), "empty"),
    "noai": (answer("200 OK", b"ours", "X-Robots-Tag: noai"), "opted_out"),
    "broken": (answer("500 Internal Server Error"), "http_error"),
}
SLOW = ("drip", "silent", "stall")  # a byte now and then; no answer; half an image, then nothing
KINDS = (*QUICK, *SLOW)


async def serve() -> None:
    """Answers until standard input is closed; prints its port first."""
    honest = answer("200 OK", length=len(PICTURE) + 8)

    async def one(path: str, writer: asyncio.StreamWriter) -> bool:
        """Answers a request; returns whether the connection stays open."""
        kind, _, number = path.strip("/").partition("/")
        if kind == "honest":
            writer.write(honest + PICTURE + number.encode().rjust(8))  # so that no two bodies are equal
            await writer.drain()
            return True
        if kind == "loop":
            writer.write(answer("302 Found", b"", f"Location: {path}"))
        elif kind not in SLOW:  # there is no robots.txt either
            writer.write(QUICK.get(kind, QUICK["gone"])[0])
        elif kind == "stall":
            writer.write(answer("200 OK", PICTURE[: len(PICTURE) // 2], length=len(PICTURE)))
        elif kind == "drip":
            writer.write(answer("200 OK", length=1_000_000))
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(DRIP)
        if kind in SLOW:
            await asyncio.sleep(3600)
        await writer.drain()
        return False

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not await one(head.split(b" ", 2)[1].decode(), writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def web() -> Iterator[str]:
    """Runs the server in its own process."""
    command = [sys.executable, "-P", __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def rows(url: str, count: int) -> tuple[list[str], list[str], Counter[str]]:
    """Returns the honest URLs, the whole list, and how often each reason must occur."""
    honest: list[str] = []
    lies: list[str] = []
    for number in range(count):
        kind = KINDS[number // LIARS % len(KINDS)] if number % LIARS == 0 else "honest"
        (honest if kind == "honest" else lies).append(f"{url}/{kind}/{number}")
    kinds = Counter(line.rsplit("/", 2)[1] for line in lies)
    expected: Counter[str] = Counter()
    for kind, lines in kinds.items():
        expected["timeout" if kind in SLOW else QUICK[kind][1]] += lines
    return honest, honest + lies, expected  # the order does not matter: the hash partition scatters them


def ingested(lines: list[str], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Runs ingest in its own process, and measures its seconds."""
    folder.mkdir()
    (folder / "rows.jsonl").write_text("\n".join(json.dumps({"url": url, "tags": ["#dog"]}) for url in lines))
    (folder / "work.py").write_text(WORK)
    told = {"input": str(folder / "rows.jsonl"), "output": str(folder / "corpus"), "allow_private": True}
    told |= {"processes": options.processes, "rows_per_part": 2000, "near_threshold": -1, "image_size": 128}
    told |= {"concurrency": options.concurrency, "host_concurrency": options.concurrency}
    told |= {"timeout": options.timeout, "retries": options.retries}
    told |= {"host_failures": 10**6}  # honest URLs are of the same host: the circuit breaker must not open
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", str(folder / "work.py"), json.dumps(told)], stdout=subprocess.PIPE, check=True
    )
    return {"seconds": time.perf_counter() - begun, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--count", type=int, default=COUNT, help="URLs")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds that a URL may take: the deadline")
    parser.add_argument("--retries", type=int, default=2)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.quick:
        options.count, options.timeout = min(options.count, 600), 1.0
    with web() as url, tempfile.TemporaryDirectory(prefix="hostile-") as place:
        honest, whole, expected = rows(url, options.count)
        alone = ingested(honest, Path(place, "honest"), options)
        mixed = ingested(whole, Path(place, "whole"), options)
    slow = expected["timeout"]
    waves = math.ceil(slow * (1 + options.retries) / options.concurrency)
    bound = alone["seconds"] + waves * options.timeout
    print(f"{len(honest):,} honest URLs alone {alone['seconds']:8.1f} s")
    print(f"with {len(whole) - len(honest):,} that lie, {slow} of them slowly {mixed['seconds']:8.1f} s")
    print(f"bound {bound:8.1f} s{'' if mixed['seconds'] <= bound else '  MISSED'}")
    for reason, count in sorted(expected.items()):
        found = mixed["rejects"].get(reason, 0)
        print(f"  {reason:14} {found:6}{'' if found == count else f'  NOT {count}'}")
    if mixed["rejects"] != dict(expected) or mixed["samples"] != len(honest) or alone["rejects"]:
        raise SystemExit(f"not every row is what it was made to be: {mixed}")
    if options.out is not None:
        cases = {
            "honest rows alone": {"unit": "s", "median": alone["seconds"], **alone},
            "with a fifth that lies": {"unit": "s", "median": mixed["seconds"], "slow": slow, "bound": bound, **mixed},
        }
        measure.write("hostile", cases, {"seconds/bound": mixed["seconds"] / bound}, options.out)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
    else:
        main()
