"""`tagmill corpus card` writes both files, and says where it left a card alone."""

import json
from pathlib import Path

import pytest

from tagmill import cli
from tests.shards.exchange.exports import corpus_in


def test_the_command_writes_the_descriptions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = corpus_in(tmp_path)
    cli.main(["corpus", "card", corpus.store.url, "--json"])
    assert json.loads(capsys.readouterr().out) == {"written": ["croissant.json", "README.md"]}
    assert corpus.store.exists("croissant.json")
    corpus.store.put("README.md", b"mine")
    cli.main(["corpus", "card", corpus.store.url])
    assert "README.md stays as it is" in capsys.readouterr().out
