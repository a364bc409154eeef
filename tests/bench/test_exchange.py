"""Other tools read our corpora: a few of them here, where their environments are there; all of them by `make exchange`."""

import importlib.metadata
import importlib.util
from pathlib import Path

import PIL
import pytest

from tagmill.bench import exchange
from tagmill.shards.manifest import Corpus
from tests.pipeline.corpora import make_corpus
from tests.shards.corpora import make_corpus as small_corpus
from tests.shards.purger import take_down

QUICK = ("webdataset, tars", "datasets, Parquet")


def test_the_image_library_of_this_environment_is_still_the_one_of_setup() -> None:
    """The other tools ask for Pillow, which has the module of pillow-simd."""
    installed = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
    assert len({"pillow", "pillow-simd"} & installed) == 1
    assert ("post" in PIL.__version__) == ("pillow-simd" in installed)
    assert not any(importlib.util.find_spec(name) for name in ("datasets", "mlcroissant", "megatron"))


def test_what_must_be_found_is_what_was_written(tmp_path: Path) -> None:
    corpus = small_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    rows = exchange.written(corpus)
    assert {split: len(found) for split, found in rows.items()} == {"train": 12, "holdout": 3}
    assert sorted(str(row[1]) for row in rows["holdout"]) == ["[0]", "[1]", "[2]"]
    listed = exchange.written(take_down(corpus, [("000000", 1)]))
    assert len(listed["train"]) == 11 and all(row in rows["train"] for row in listed["train"])
    assert len(exchange.together(rows)["all"]) == 15


def test_other_tools_find_the_same_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange.is_installed():
        pytest.skip("the other tools are not installed here: make exchange installs them under build/bench")
    made = make_corpus(tmp_path / "corpus", (5, 3), holdout=(2,))
    whole = exchange.checks
    monkeypatch.setattr(exchange, "checks", lambda *given: {name: whole(*given)[name] for name in QUICK})
    assert exchange.compare(Corpus.open(made.url)) == dict.fromkeys(QUICK, "the same 10 samples")


def test_a_tool_that_reads_something_else_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = small_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    whole = exchange.checks
    monkeypatch.setattr(exchange, "checks", lambda *given: {QUICK[0]: whole(*given)[QUICK[0]]})
    monkeypatch.setattr(exchange.measure, "peer", lambda *_, **__: Path("python"))
    monkeypatch.setattr(exchange, "read_by", lambda *_: {"train": [["a"]]})
    assert exchange.compare(corpus) == {QUICK[0]: "differs: 1 of 15 samples"}
