"""`tagmill corpus export`: its words, and what it says."""

import json
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tagmill import cli
from tagmill.shards.exchange.export import Exported
from tagmill.shards.exchange.export_command import summary_lines
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store
from tests.shards.corpora import make_corpus
from tests.shards.exchange.exports import corpus_in

T = TypeVar("T")


def test_the_command_exports_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_in(tmp_path)
    words = [
        "corpus",
        "export",
        corpus.store.url,
        "--output",
        str(tmp_path / "out"),
        "--limit",
        "8",
        "--split",
        "train",
    ]
    cli.main([*words, "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert not said.err
    assert (found["samples"], found["parts"], found["written"]) == (8, 2, 2)
    cli.main(words)
    said = capsys.readouterr()
    shown = said.out.replace("\n", "")
    begun, ended = said.err.splitlines()
    assert begun == "export begins  2 in all" and ended.startswith("export ends  2/2  ")
    assert "8 samples in 2 parts" in shown and "2 parts were there already" in shown


def test_sigterm_says_what_is_kept_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = corpus_in(tmp_path)

    def stopped_after_one(progress: Progress, items: Iterable[T]) -> Iterator[T]:
        yield next(iter(items))
        progress.advance(1)
        signal.raise_signal(signal.SIGTERM)

    words = ["corpus", "export", corpus.store.url, "--output", str(tmp_path / "out"), "--parts-at-once", "1"]
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another test's workers may have left a handler
    try:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.setattr("tagmill.shards.exchange.export.counted", stopped_after_one)
            cli.main(words)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    kept = "finished files are kept; run the same command again"
    assert capsys.readouterr().err.splitlines()[-1] == f"tagmill corpus: stopped in export, 1 of 3; {kept}"
    cli.main(words)
    assert "parts were there already" in capsys.readouterr().out


def test_a_corpus_in_a_bucket_is_exported_to_a_bucket_with_the_bytes_of_a_disk(
    tmp_path: Path, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = corpus_in(tmp_path), make_corpus(f"{s3_bucket}/corpus", tmp_path / "spool")
    cli.main(["corpus", "export", there.store.url, "--output", f"{s3_bucket}/out", "--format", "img2dataset"])
    cli.main(["corpus", "export", here.store.url, "--output", str(tmp_path / "out"), "--format", "img2dataset"])
    assert capsys.readouterr().out.count("15 samples in 3 parts") == 2
    found, wanted = Store(f"{s3_bucket}/out"), Store(str(tmp_path / "out"))
    names = sorted(name for name, _ in wanted.listing())
    assert names == sorted(name for name, _ in found.listing()) and len(names) > 6
    assert all(found.read(name) == wanted.read(name) for name in names if name.endswith((".tar", ".parquet")))


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_in(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["corpus", "export", corpus.store.url, "--output", corpus.store.url + "/out"])
    assert ended.value.code == 1 and "choose another output" in capsys.readouterr().err


def test_samples_that_were_left_out_are_counted() -> None:
    assert summary_lines(Exported("s3://b/x", 3, 12_345, 2_500_000, 7, 3)) == [
        "12,345 samples in 3 parts, 2.5 MB: s3://b/x",
        "7 samples left out: they are taken down",
    ]
