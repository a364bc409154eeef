"""Tests a store that has stopped answering: Ctrl-C, `close` and the exit of the interpreter take seconds, and an ended
loader makes no more requests."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards import TagmillError
from tagmill.shards.storage import retry
from tests.pipeline.corpora import make_corpus
from tests.shards.silent import SilentWeb, silent
from tests.warm.python import warm_python

# With the libraries' own limits these take 79 s (S3) to 35 minutes: this guards against a hang and measures nothing.
PATIENCE = 45.0
CHILD = """
import sys
from tagmill.pipeline import Loader, LoaderConfig
loader = Loader(sys.argv[1], LoaderConfig(batch_size=20, size=16, streams=4, chunk=5, threads=1, view=None))
batches = iter(loader.endless())
print("made", flush=True)
for batch in batches:
    pass
"""
EXITS = """
import sys
from tagmill.pipeline import Loader, LoaderConfig
loader = Loader(sys.argv[1], LoaderConfig(batch_size=20, size=16, streams=4, chunk=5, threads=1, view=None))
batches = iter(loader)
next(batches)
print("made", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupts")
    make_corpus(folder / "bucket" / "corpus", [60, 60, 60])
    return folder


@pytest.fixture
def web(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentWeb]:
    with silent(folder) as web:
        for name, value in (("ACCESS_KEY_ID", "k"), ("SECRET_ACCESS_KEY", "s"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        yield web


def address(web: SilentWeb, kind: str) -> str:
    return "s3://bucket/corpus" if kind == "s3" else f"{web.url}/bucket/corpus"


def started(code: str, url: str, usual: bool) -> subprocess.Popen[str]:
    """Begins a child of a Python that starts fast, or of the usual one, which takes its libraries apart at its end."""
    pipe, python = subprocess.PIPE, sys.executable if usual or os.environ.get("TAGMILL_WHOLE") else warm_python()
    return subprocess.Popen([python, "-c", code, url], stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def until(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


@pytest.mark.parametrize("kind", ["http", "s3"])
@pytest.mark.parametrize("where", ["the first request", "a batch"])
def test_ctrl_c_while_the_store_is_silent(web: SilentWeb, kind: str, where: str) -> None:
    """While a corpus is opened, by the main thread, and while it is read, by others."""
    web.after = 0 if where == "the first request" else 12
    with started(CHILD, address(web, kind), usual=(kind, where) == ("s3", "a batch")) as child:
        try:
            assert web.silenced.acquire(timeout=PATIENCE)
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            said, complaint = child.communicate(timeout=PATIENCE)
        finally:
            child.kill()
    assert child.returncode == -signal.SIGINT and "KeyboardInterrupt" in complaint, complaint
    assert said == ("" if where == "the first request" else "made\n")


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_exit_of_the_interpreter_while_the_store_is_silent(web: SilentWeb, kind: str) -> None:
    with started(EXITS, address(web, kind), usual=kind == "http") as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "made\n"
            web.quiet.set()
            _, complaint = child.communicate("\n", timeout=PATIENCE)
        finally:
            child.kill()
    assert child.returncode == 0, complaint


@pytest.mark.parametrize("kind", ["http", "s3"])
def test_close_while_the_store_is_silent(
    web: SilentWeb, kind: str, never_late: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No try of a request begins afterwards, and another thread that waits for a batch gets the error."""
    tries, usual = list[float](), retry.pause

    def counted(
        seconds: float = 0.0,
    ) -> None:  # is called before each try; the server counts some later than they began
        usual(seconds)
        tries.append(seconds)

    monkeypatch.setattr(retry, "pause", counted)
    config = LoaderConfig(batch_size=20, size=16, streams=4, chunk=5, threads=1, view=None)
    loader, heard = Loader(address(web, kind), config), list[BaseException]()
    batches = iter(loader.endless())  # a `for` may have reached its epoch's end before the store became silent
    next(batches)
    web.quiet.set()

    def trains() -> None:
        try:
            for _ in range(100):
                next(batches)
        except TagmillError as error:
            heard.append(error)

    trainer = threading.Thread(target=trains, daemon=True)
    trainer.start()
    assert web.silenced.acquire(timeout=PATIENCE)
    time.sleep(0.2)
    loader.close()
    trainer.join(PATIENCE)
    assert not trainer.is_alive() and len(heard) == 1
    begun = len(tries)
    web.over.set()  # the abandoned requests end now: their threads would try again
    assert until(lambda: not [t for t in threading.enumerate() if t.name.startswith("tagmill-read")])
    assert begun and len(tries) == begun
