"""The dataset card: its front matter finds the shards, and no text of a corpus becomes markup."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.exchange.card import LONGEST_NAME, MARK, card, plain
from tagmill.shards.exchange.facts import corpus_facts
from tagmill.shards.manifest import Corpus
from tests.shards.exchange.exports import corpus_in
from tests.shards.purger import take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def front(text: str) -> dict[str, object]:
    _, head, _ = text.split("---\n", 2)
    return {name: json.loads(value) for name, value in (line.split(": ", 1) for line in head.splitlines())}


def test_the_front_matter_finds_the_tars_of_each_split(corpus: Corpus) -> None:
    text = card(corpus_facts(corpus)).decode()
    fields = front(text)
    assert (fields["pretty_name"], fields["license"], fields["size_categories"]) == ("test", "unknown", ["n<1K"])
    (config,) = fields["configs"]  # type: ignore[misc]
    found = {
        each["split"]: sorted(path.stem for path in Path(corpus.store.url).glob(each["path"]))
        for each in config["data_files"]
    }
    assert found == {"train": ["000000", "000001"], "holdout": ["holdout-000000"]}
    assert MARK in text and "| train | 2 | 12 |" in text


def test_rejects_and_takedowns_are_numbers(corpus: Corpus) -> None:
    corpus.store.put("report.json", b'{"rejects": {"blocked": 4, "taken_down": 12000}}')
    text = card(corpus_facts(take_down(corpus, [("000000", 1), ("000000", 2)]))).decode()
    assert "| `blocked` | 4 |" in text and "| `taken_down` | 12,000 |" in text and "Taken down: 2 samples" in text


@pytest.mark.parametrize(
    "name", ['"\n---\n# x <script>', "\u202egnp.exe", "| a | b |", "x" * 100_000, "[a](javascript:b)"]
)
def test_a_hostile_name_is_inert(corpus: Corpus, name: str) -> None:
    file = replace(corpus.file, name=name, code_version=name)
    text = card(corpus_facts(Corpus(corpus.store, file))).decode()
    assert front(text)["pretty_name"] == name
    title = next(line for line in text.splitlines() if line.startswith("# "))
    assert title == f"# {plain(name)}" and "<script>" not in text and "\u202e" not in text


@given(st.text(max_size=40) | st.text("<>&|[](){}*_`#\\\n\r\u2028\u202e\x00\x1b!", max_size=300))
def test_plain_text_is_one_bounded_line_without_markup(text: str) -> None:
    shown = plain(text)
    assert len(shown) <= LONGEST_NAME * 12 and not any(unicodedata.category(each)[0] == "C" for each in shown)
    assert len(shown.splitlines()) <= 1 and "<" not in shown and ">" not in shown
    bare = shown.replace("\\\\", "")
    assert not any(each in "|[]*_`#" and bare[place - 1 : place] != "\\" for place, each in enumerate(bare))


@pytest.mark.parametrize("count", [0, 999, 1000, 123_456, 5 * 10**8, 10**12])
def test_a_size_is_one_of_the_hub(corpus: Corpus, count: int) -> None:
    sizes = {0: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 123_456: "100K<n<1M", 5 * 10**8: "100M<n<1B", 10**12: "n>1T"}
    facts = replace(corpus_facts(corpus), samples={"train": count})
    assert front(card(facts).decode())["size_categories"] == [sizes[count]]
