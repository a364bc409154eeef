"""The command: on loopback only, with the index where it is asked for, and one line for what is wrong."""

import signal
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tagmill import cli
from tagmill.browse.search.label_index import lookup
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.browse.server import browse_command as module
from tagmill.browse.server.browse_command import ADDRESS, bound, browse_command, server
from tagmill.browse.server.site import Site
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.store import Store
from tests.browse.server.visitor import Page, visit
from tests.pipeline.corpora import make_corpus as make_pictures
from tests.shards.corpora import make_corpus


def test_the_server_answers_on_loopback_and_ends(tmp_path: Path) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    with bound(0) as listening:
        address, port = listening.getsockname()
        assert address == ADDRESS == "127.0.0.1"
        serving = server(Site(CorpusWatch(corpus.store.url, None)), port)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
                assert b"holdout" in answer.read() and "server" not in answer.headers
        finally:
            serving.should_exit = True
            thread.join()


def test_a_port_that_is_taken_is_an_error_of_one_line() -> None:
    with bound(0) as listening, pytest.raises(ConfigError, match="--port"):
        bound(listening.getsockname()[1])


def test_the_command_makes_the_index_and_says_where_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    ports = list[int]()

    class Stopped:
        def run(self, sockets: list[socket.socket]) -> None:
            ports.append(sockets[0].getsockname()[1])
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "server", lambda site, port: Stopped())
    browse_command([corpus.store.url, "--port", "0", "--index"])
    said = capsys.readouterr()
    assert f"http://127.0.0.1:{ports[0]}/ shows" in said.out
    begun, ended = said.err.splitlines()
    assert begun == "index of default begins  3 in all" and ended.startswith("index of default ends  3/3  ")
    assert len(list((tmp_path / "corpus").rglob("search.parquet"))) == 1


def test_an_address_without_a_corpus_is_an_error_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        browse_command([str(tmp_path / "none")])


def test_sigterm_while_the_index_is_made_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")

    def stopped(snapshot: Snapshot, name: str, done: Callable[[int], None]) -> None:
        done(1)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(module, "write_index", stopped)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another test's workers may have left a handler
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main(["corpus", "browse", corpus.store.url, "--port", "0", "--index"])
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr()
    assert ended.value.code == 128 + signal.SIGTERM and not said.out
    kept = "indexes that are finished are kept; run the same command again"
    assert said.err.splitlines()[-1] == f"tagmill corpus: stopped in index of default, 1 of 3; {kept}"


def test_a_corpus_in_a_bucket_is_indexed_and_shown(
    tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, there = make_pictures(tmp_path / "corpus", [4, 5], holdout=[3]), Store(f"{s3_bucket}/corpus")
    here = Store(made.url)
    for name, _ in here.listing():
        there.put(name, here.read(name))
    monkeypatch.setattr(module, "server", lambda site, port: Ended())
    browse_command([there.url, "--port", "0", "--index"])
    listed = lookup(Snapshot(Corpus.open(there.url)), "default", [2])
    have = [number for number, labels in enumerate(made.labels.tolist()) if 2 in labels]
    assert listed is not None and listed.complete and listed.in_samples == {2: len(have)} and have
    client = visit(there.url)
    found = [link for link in Page(client.get("/find?by=label&q=label2").text).loads if link.startswith("/sample/")]
    assert len(found) == len(have) and made.keys[have[0]].hex() in client.get(found[0]).text
    assert client.get(found[0].replace("/sample/", "/picture/")).content == made.jpegs[have[0]]


class Ended:
    """A server that ends at once."""

    def run(self, sockets: list[socket.socket]) -> None:
        del sockets
