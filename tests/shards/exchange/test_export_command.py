"""`tagmill corpus export`: its words, and what it says."""

import json
from pathlib import Path

import pytest

from tagmill import cli
from tagmill.shards.exchange.export import Exported
from tagmill.shards.exchange.export_command import summary_lines
from tests.shards.exchange.exports import corpus_in


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
    found = json.loads(capsys.readouterr().out)
    assert (found["samples"], found["parts"], found["written"]) == (8, 2, 2)
    cli.main(words)
    shown = capsys.readouterr().out.replace("\n", "")
    assert "8 samples in 2 parts" in shown and "2 parts were there already" in shown


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
