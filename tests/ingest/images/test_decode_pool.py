"""Decoder processes that crash, hang, end and swell, really: each costs its one picture, and nothing is left behind."""

import asyncio
import dataclasses
import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import Report
from tagmill.ingest.config.images import ImageOptions
from tagmill.ingest.images import decode_pool
from tagmill.ingest.images.decode_pool import PROGRAM, Decoders
from tagmill.ingest.images.decode_worker import Picture, picture
from tagmill.ingest.images.prepare import Rejected
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError
from tests.ingest.images.test_decode_worker import alive
from tests.ingest.liar import Liar, Lie
from tests.ingest.smallweb import picture as body_of

CRASHING = "tests.ingest.crashing"
CONFIG = ImageOptions(image_size=32, max_pixels=1_000_000)
MAX_BYTES = 50_000_000
Made = Picture | Rejected


def made(bodies: list[bytes], program: str = CRASHING, max_bytes: int = MAX_BYTES, **changes: Any) -> list[Made]:
    """Decoded at once, as far as there are decoders for that."""

    async def work() -> list[Made]:
        with pool:
            return list(await asyncio.gather(*map(pool.decode, bodies)))

    before, pool = children(), Decoders(dataclasses.replace(CONFIG, **changes), max_bytes, program)
    try:
        return asyncio.run(work())
    finally:
        pool.end()
        assert children() <= before


@contextmanager
def closed(pool: Decoders) -> Iterator[Decoders]:
    """A pool whose processes end with the context."""
    try:
        with pool:
            yield pool
    finally:
        pool.end()


def deep_picture(side: int) -> bytes:
    """A grey PNG of 16 bits, which takes long to decode."""
    sink = io.BytesIO()
    pixels = (np.arange(side * side, dtype=np.uint32) % 65_536).astype(np.uint16).reshape(side, side)
    Image.fromarray(pixels).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def children(program: str = "") -> set[int]:
    """Our own processes that run decoders; the server that other tests have workers from is none."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent, command = path.read_text().rpartition(")")[2].split()[1], path.with_name("cmdline").read_text()
        except OSError:
            continue
        if int(parent) != os.getpid() or "forkserver" in command:
            continue
        if program in command if program else "ingest" in command:
            found.add(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [body_of(number) for number in range(10)]


@pytest.mark.parametrize("number", [1, 2])
def test_the_pictures_are_those_of_this_process(pictures: list[bytes], number: int) -> None:
    bodies = [*pictures, b"<html>", b"", pictures[1][:-40]]
    assert made(bodies, PROGRAM, decoders=number) == [picture(body, CONFIG.images) for body in bodies]


CRASHES = {
    b"read 0": Rejected(Reason.DECODER_CRASHED, "SIGSEGV"),
    b"kill SIGABRT": Rejected(Reason.DECODER_CRASHED, "SIGABRT"),
    b"end 3": Rejected(Reason.DECODER_CRASHED, "exit status 3"),
    b"kill SIGKILL": Rejected(Reason.DECODER_CRASHED, "SIGKILL"),
    b"babble 7": Rejected(Reason.DECODER_CRASHED, "its answer cannot be read"),
    b"babble 0": Rejected(Reason.DECODER_CRASHED, "its answer cannot be read"),
    b"take 99000000000": Rejected(Reason.DECODER_FAILED, "MemoryError"),
    b"fail": Rejected(Reason.DECODER_CRASHED, "RecursionError"),
}
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))  # each crash with each number of decoders, which take turns otherwise


@pytest.mark.parametrize(
    ("body", "number"),
    [(body, number) for place, body in enumerate(CRASHES) for number in ((1, 3) if WHOLE else ((3, 1)[place % 2],))],
    ids=lambda value: value.decode().replace(" ", "-") if isinstance(value, bytes) else str(value),
)
def test_a_crash_costs_its_picture_and_no_other(pictures: list[bytes], body: bytes, number: int) -> None:
    bodies = [*pictures[:4], body, *pictures[4:], body, pictures[0]]
    expected: list[Made] = [picture(each, CONFIG.images) for each in bodies]
    expected[4] = expected[-2] = CRASHES[body]
    assert made(bodies, decoders=number) == expected


@pytest.mark.parametrize("first", [b"read 0", b"end 3", b"hang"], ids=["crashes", "ends", "hangs"])
def test_what_waits_in_the_socket_of_one_that_ends_is_given_to_another(pictures: list[bytes], first: bytes) -> None:
    """A small body, all of which is in the socket, and one that does not fit into it, so that its sender waits."""
    large = pictures[2] + bytes(1_000_000)  # what follows a picture is not looked at
    assert isinstance(picture(large, CONFIG.images), Picture)
    for second in (pictures[0], large):
        found = made([first, second, pictures[1]], decoders=1, decode_timeout=5.0 if first == b"hang" else 60.0)
        assert isinstance(found[0], Rejected)
        assert found[1:] == [picture(body, CONFIG.images) for body in (second, pictures[1])]


def test_a_body_waits_in_the_socket_while_another_is_decoded(pictures: list[bytes]) -> None:
    async def work() -> list[int]:
        with closed(Decoders(dataclasses.replace(CONFIG, decode_timeout=60.0), MAX_BYTES, CRASHING)) as pool:
            await pool.decode(pictures[0])
            (process,) = pool._processes
            tasks = [asyncio.create_task(pool.decode(body)) for body in (b"hang", *pictures[:3])]
            await asyncio.sleep(0.2)
            asked = process.asked
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return [asked, process.asked, process._socket.fileno()]

    assert asyncio.run(work()) == [decode_pool.BODIES_AHEAD, 0, -1]


def test_who_hangs_is_ended_and_the_others_are_not_held_up(pictures: list[bytes]) -> None:
    bodies = [b"hang", *pictures, b"hang"]
    expected: list[Made] = [picture(each, CONFIG.images) for each in bodies]
    # Long enough for an honest one on a busy machine.
    expected[0] = expected[-1] = Rejected(Reason.DECODER_TIMEOUT, "not done within 5 s")
    assert made(bodies, decoders=2, decode_timeout=5.0) == expected


def test_a_large_picture_fits_into_the_memory_and_a_smaller_bound_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alpha takes 13 bytes a pixel; bounded almost without what is given to all."""
    sink = io.BytesIO()
    Image.new("RGBA", (3000, 3000), (9, 9, 9, 9)).save(sink, "PNG", compress_level=1)
    body, bounds = sink.getvalue(), {"max_pixels": 9_000_000, "max_bytes": 1}
    whole = picture(body, dataclasses.replace(CONFIG, max_pixels=9_000_000).images)
    assert isinstance(whole, Picture)
    monkeypatch.setattr(decode_pool, "SOME_MEMORY", 1 << 26)
    assert made([body], **bounds) == [whole]
    monkeypatch.setattr(decode_pool, "PIXEL_MEMORY", 1)
    assert made([body], **bounds) == [Rejected(Reason.DECODER_FAILED, "PNG: MemoryError")]


def test_the_processes_stay_from_one_event_loop_to_the_next_and_go_with_their_owner(pictures: list[bytes]) -> None:
    async def work(pool: Decoders) -> list[Made]:
        with pool:
            return list(await asyncio.gather(*map(pool.decode, pictures)))

    owner = [Decoders(dataclasses.replace(CONFIG, decoders=2), MAX_BYTES, CRASHING)]
    expected = [picture(body, CONFIG.images) for body in pictures]
    assert asyncio.run(work(owner[0])) == expected
    first = children(CRASHING)
    assert asyncio.run(work(owner[0])) == expected and children(CRASHING) == first and len(first) == 2
    owner.clear()
    gc.collect()
    assert not children(CRASHING)


def test_one_that_was_killed_while_idle_costs_nothing(pictures: list[bytes]) -> None:
    async def work() -> list[Made]:
        with closed(Decoders(CONFIG, MAX_BYTES, CRASHING)) as pool:
            first = await pool.decode(pictures[0])
            (child,) = children(CRASHING)
            os.kill(child, signal.SIGKILL)
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # its first thread ends before the others
            return [first, await pool.decode(pictures[1])]

    assert asyncio.run(work()) == [picture(body, CONFIG.images) for body in pictures[:2]]


def test_a_cancelled_picture_is_not_taken_for_the_next_one(pictures: list[bytes]) -> None:
    async def work() -> Made:
        with closed(Decoders(CONFIG, MAX_BYTES, CRASHING)) as pool:
            assert isinstance(await pool.decode(pictures[3]), Picture)
            hangs = asyncio.create_task(pool.decode(b"hang"))
            await asyncio.sleep(0.1)
            hangs.cancel()
            (found,) = await asyncio.gather(hangs, return_exceptions=True)
            assert isinstance(found, asyncio.CancelledError)
            return await pool.decode(pictures[0])

    assert asyncio.run(work()) == picture(pictures[0], CONFIG.images)
    assert not children(CRASHING)


def test_what_codecs_say_goes_nowhere(pictures: list[bytes], capfd: pytest.CaptureFixture[str]) -> None:
    """A megabyte of it: more than any pipe holds."""
    assert made([b"shout 50000", pictures[0]], decoders=1)[1] == picture(pictures[0], CONFIG.images)
    assert capfd.readouterr() == ("", "")


def test_a_decoder_that_cannot_be_started_stops_the_run_and_says_why() -> None:
    before = children()  # parts that this process made for other tests keep their decoders
    with pytest.raises(TagmillError, match=r"does not start: .*No module named.* \(python -m tagmill\.ingest\.gone\)"):
        made([b"body"], "tagmill.ingest.gone")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TagmillError, match=r"does not start: .*No such file"):
        patch.setattr(sys, "executable", "/nowhere/python")
        made([b"body"])
    assert children() <= before


PARENT = """
import asyncio, dataclasses
from tagmill.ingest.images.decode_pool import Decoders
from tests.ingest.images.test_decode_pool import CONFIG, CRASHING, MAX_BYTES, body_of, children

async def work():
    with Decoders(dataclasses.replace(CONFIG, decoders=3), MAX_BYTES, CRASHING) as pool:
        both = [asyncio.create_task(pool.decode(body)) for body in (b"hang", b"hang")]
        while sum(process.asked for process in pool._processes) < 2:
            await asyncio.sleep(0.01)
        await pool.decode(body_of(0))  # by a third, which will be idle
        print(*children(CRASHING), flush=True)
        await asyncio.gather(*both)

asyncio.run(work())
"""


def test_kill_9_of_the_worker_leaves_none_behind() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen([sys.executable, "-P", "-c", PARENT], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3 and all(map(alive, pids))
    parent.kill()
    parent.wait()
    while any(map(alive, pids)):
        time.sleep(0.01)


def memory_of(pid: int) -> int:
    """Bytes of real memory; none of who is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def descendants(program: str) -> list[int]:
    """Processes below this one, at any depth, that run a program."""
    parents, named = {}, []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid = int(path.parent.name)
            parents[pid] = int(path.read_text().rpartition(")")[2].split()[1])
            if program in path.with_name("cmdline").read_text():
                named.append(pid)
        except OSError:
            continue

    def ours(pid: int) -> bool:
        return pid == os.getpid() or (pid in parents and ours(parents[pid]))

    return [pid for pid in named if ours(pid)]


def test_a_run_survives_the_crash_of_a_decoder_and_loses_one_picture(tmp_path: Path, pictures: list[bytes]) -> None:
    """In a whole ingest with worker processes the decoder that holds a large picture dies by SIGSEGV."""
    large, crashed, before = deep_picture(9000), threading.Event(), set(descendants(PROGRAM))
    answers = {f"/{number}.jpg": Lie(body) for number, body in enumerate(pictures)} | {"/large.png": Lie(large)}

    def crash() -> None:
        while not crashed.is_set():
            for pid in set(descendants(PROGRAM)) - before:
                if memory_of(pid) > 200_000_000:  # with a small one it is a fifth
                    os.kill(pid, signal.SIGSEGV)
                    return crashed.set()
            time.sleep(0.005)

    with Liar(answers) as web:
        listed = tmp_path / "list.txt"
        listed.write_text("".join(f"{web.url(path)}\n" for path in answers))
        thread = threading.Thread(target=crash)
        thread.start()
        output = tmp_path / "corpus"
        flags = ["--allow-private", "--image-size", "32", "--timeout", "60", "--processes", "2", "--rows-per-part", "6"]
        words = ["ingest", "--input", str(listed), "--output", str(output), *flags]
        try:  # in a process of its own: workers of the test process fork their decoders
            ended = subprocess.run([sys.executable, "-m", "tagmill", *words], capture_output=True, text=True)
        finally:
            survived = crashed.is_set()
            crashed.set()
            thread.join()
    assert ended.returncode == 0, ended.stderr
    report = Report.parse((output / "report.json").read_bytes())
    assert survived and report.rejects == {"decoder_crashed": 1}
    assert report.samples == {"train": len(pictures), "holdout": 0}
    (reject,) = pq.read_table(output / "rejects").to_pylist()
    assert reject["url"].endswith("/large.png") and reject["detail"] == "SIGSEGV"
    facts = pq.read_table(output / "shards/000000.parquet", columns=["sha256"]).to_pylist()
    wanted = [picture(body, CONFIG.images) for body in pictures]
    assert Counter(row["sha256"] for row in facts) == Counter(m.prints.sha256 for m in wanted if isinstance(m, Picture))
    assert set(descendants(PROGRAM)) <= before
