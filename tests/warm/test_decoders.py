"""Tests that a forked decoder is to a pool what one that was started is: its pictures, its end, and nothing of ours open."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagmill.ingest.config.images import ImageOptions
from tagmill.ingest.images import decode_pool
from tagmill.ingest.images.decode_pool import Decoders
from tagmill.ingest.images.decode_worker import picture
from tests.ingest.smallweb import picture as body_of
from tests.warm import decoders

CONFIG = ImageOptions(image_size=32)
BODIES = [body_of(0), b"<html>", body_of(1)]


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoders]:
    monkeypatch.setattr(decode_pool, "subprocess", decode_pool.subprocess)  # put back at the end
    decoders.fork_decoders()
    with Decoders(CONFIG, 1 << 20) as pool:
        yield pool
    pool.end()


def test_its_pictures_are_those_of_this_process(forked: Decoders) -> None:
    async def made() -> list[object]:
        with forked:
            return [await forked.decode(body) for body in BODIES]

    assert asyncio.run(made()) == [picture(body, CONFIG.images) for body in BODIES]
    (process,) = forked._processes
    assert isinstance(process._process, decoders.ForkedDecoder) and process.lives()


def test_nothing_of_ours_is_open_in_it_and_a_kill_is_seen(forked: Decoders, tmp_path: Path) -> None:
    async def one() -> object:
        with forked:
            return await forked.decode(BODIES[0])

    with (tmp_path / "ours").open("w"):
        before = asyncio.run(one())
        (process,) = forked._processes
        number = process._process._pid  # type: ignore[attr-defined]
        files = {str(file.readlink()) for file in Path(f"/proc/{number}/fd").iterdir()}
        assert number != os.getpid() and str(tmp_path / "ours") not in files and os.devnull in files
    os.kill(number, signal.SIGKILL)
    assert process._process.wait() == -signal.SIGKILL
    assert asyncio.run(one()) == before and forked._processes != [process]
