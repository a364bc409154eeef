"""Tests `tagmill corpus`, for people and for machines."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tagmill.shards.corpus_command import (
    info_command,
    lint_command,
    show_info,
    show_vocabulary,
    vocabulary_command,
)
from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.manifest import Corpus, commit
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Vocabulary
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
    assert run(capsys, "lint", corpus.store.url).splitlines() == [
        "no errors: every byte as written",
        "",
        "shards      3",
        "            Tars, indexes and tables, whole, with the digests of the manifest.",
        "views       1",
        "            Labellings, with the labels and factors of every shard.",
        "altered     0",
        "            Lint ends at the first difference, so here it is always 0.",
        "taken down  0",
        "            Samples that readers skip.",
        "purged      0",
        "            Those of them whose bytes are deleted.",
    ]
    path = Path(corpus.store.url, "shards/000001.tar")
    data = bytearray(path.read_bytes())
    data[-1] = 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"000001\.tar"):
        lint_command([corpus.store.url])


INFO = """\
a\\x1b[2Jb\\u202e  format 1  seed 0  test

split    shards  samples   MB
train         2       12  0.1
holdout       1        3  0.0

view     samples  selected  copies  labels
default       15         7       8       3

shards    tar files; on average 0.1 to 4 GB each are good
MB        millions of bytes of these tars
selected  samples of the view that an epoch has at least once
copies    whole copies of training samples in an epoch; more than selected where
          a view repeats some
labels    classes of the view; a training needs at least one
"""


def test_info_has_a_legend_and_shows_hostile_names_as_escapes(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = replace(corpus.file, name="a\x1b[2Jb\u202e", seed=0, code_version="test", image_policy={})
    commit(corpus.store, changed, corpus.file)
    assert run(capsys, "info", corpus.store.url) == INFO


def test_info_warns_of_many_small_shards_and_of_a_view_without_labels() -> None:
    facts = {"name": "c", "format": "1", "seed": 0, "code_version": "1", "image_policy": {}, "taken_down": 0}
    facts["splits"] = {"train": {"shards": 16, "samples": 160, "bytes": 16_000}}
    facts["views"] = {"default": {"samples": 160, "labels": 0}}
    console = Console(file=io.StringIO())
    show_info(console, facts)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "warning: The 16 shards are small, 1.0 kB on average" in shown and "warning: There is no label" in shown


def test_a_vocabulary_of_hostile_words_is_shown_with_its_legend_and_advice(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    view = View.open(corpus, "default")
    hostile = replace(
        view.vocabulary.labels[0], name="[red]\x1b[2J\u202e", lemmas=("\x9b" * 1_000,), tokens={"\r" * 9: 3}
    )
    source = {"dropped_tokens": [{"token": "\x07[b]", "tags_at_least": 3, "why": "\x1b"}]}
    object.__setattr__(view, "vocabulary", Vocabulary((hostile,), source=source))
    show_vocabulary(Console(), view, 5, 12)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable() and "[b]" in shown
    assert "images" in shown and "with fewer than 10 a label is hard to learn" in shown
    assert "warning: 1 of 1 labels" in shown or "warning: The label" in shown


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        info_command([str(tmp_path)])
