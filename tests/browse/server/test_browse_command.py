"""The command: on loopback only, with the index where it is asked for, and one line for what is wrong."""

import socket
import threading
import urllib.request
from pathlib import Path

import pytest

from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.browse.server import browse_command as module
from tagmill.browse.server.browse_command import ADDRESS, bound, browse_command, server
from tagmill.browse.server.site import Site
from tagmill.shards.errors import ConfigError, CorpusError
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
    assert f"http://127.0.0.1:{ports[0]}/ shows" in capsys.readouterr().out
    assert len(list((tmp_path / "corpus").rglob("search.parquet"))) == 1


def test_an_address_without_a_corpus_is_an_error_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        browse_command([str(tmp_path / "none")])
