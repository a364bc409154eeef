"""Tests `tagmill corpus`, for people and for machines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.shards.corpus_command import info_command, lint_command, vocabulary_command
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.manifest import Corpus, commit
from tests.shards.corpora import make_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")


COMMANDS = {"info": info_command, "vocabulary": vocabulary_command, "lint": lint_command}


def run(capsys: pytest.CaptureFixture[str], word: str, *arguments: str) -> str:
    COMMANDS[word](arguments)
    return capsys.readouterr().out


def test_info(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(run(capsys, "info", corpus.store.url, "--json"))
    assert facts["splits"]["train"]["samples"] == 12 and facts["splits"]["holdout"]["shards"] == 1
    assert facts["splits"]["train"]["bytes"] == sum(entry.bytes for entry in corpus.entries[:2])
    assert facts["views"]["default"]["labels"] == 3
    told = run(capsys, "info", corpus.store.url)
    assert "images:" not in told  # nothing is recorded of them
    assert "train" in told and "holdout" in told and "12" in told and "default" in told


@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"image_size": 64, "quality": 85}, "images: restart_interval 0, image_size 64, quality 85"),
        ({"image_size": 64, "restart_interval": "auto"}, "images: restart_interval auto, image_size 64"),
        ({"format": "[red]JPEG"}, "images: restart_interval 0, format [red]JPEG"),
    ],
)
def test_info_says_what_is_stored_of_images(
    corpus: Corpus, capsys: pytest.CaptureFixture[str], policy: dict[str, object], shown: str
) -> None:
    commit(corpus.store, replace(corpus.file, image_policy=policy), corpus.file)
    assert shown in " ".join(run(capsys, "info", corpus.store.url).split())
    assert json.loads(run(capsys, "info", corpus.store.url, "--json"))["image_policy"] == policy


def test_vocabulary(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(json.loads(run(capsys, "vocabulary", corpus.store.url, "--json"))["labels"]) == 3
    told = " ".join(run(capsys, "vocabulary", corpus.store.url, "--top", "1").split())
    head, ambiguous = told.split("1 labels have several meanings: 29% of all that images carry")
    assert "label words images synsets tokens" in head
    assert "n02131653" in head and "n12268246" in head and "crane" not in head and "crane" in ambiguous


def test_lint(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    taken = {"taken_down": 0, "purged": 0}
    assert json.loads(run(capsys, "lint", corpus.store.url, "--json")) == {
        "shards": 3,
        "views": 1,
        "altered": 0,
        **taken,
    }
    assert "3 shards, 1 views" in run(capsys, "lint", corpus.store.url)
    path = Path(corpus.store.url, "shards/000001.tar")
    data = bytearray(path.read_bytes())
    data[-1] = 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"000001\.tar"):
        lint_command([corpus.store.url])


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        info_command([str(tmp_path)])
