"""The benchmark of captions counts labels as it says, and its captions are whole."""

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from tagmill.bench import captions
from tagmill.bench.captions import Caption, Score
from tagmill.ingest.labels.caption_nouns import CaptionNouns
from tests.ingest.labels.wordnet.test_compile import HEAD


def test_there_are_300_captions_with_nouns() -> None:
    written = captions.captions()
    assert len(written) == len({caption.text for caption in written}) == 300
    assert all(caption.nouns and all(caption.nouns) for caption in written)
    assert {caption.kind for caption in written} == {"product", "news", "place", "animal", "people", "food"}


def test_a_label_counts_once_a_caption_and_a_noun_that_wordnet_lacks_is_missed() -> None:
    some = [Caption("x", "a puppy, a puppy and a truck", ("puppy", "selfie"))]
    found = captions.score(some, CaptionNouns.load().find, "merge")
    assert found == Score(1, 2, 2, Counter(["selfie"]), Counter(["truck"]))
    assert found.precision == found.recall == 0.5
    assert captions.score(some, lambda text: [], "first").recall == 0.0


def test_senses_of_example_sentences(tmp_path: Path) -> None:
    lines = [
        '02084071 05 n 01 dog 0 000 | an animal; "the dog barked all night"; "no such thing"  ',
        '09886220 18 n 01 cad 0 000 | someone; "you nasty dog"  ',
        "00001740 03 n 01 entity 0 000 | that which is  ",
    ]
    (tmp_path / "data.noun").write_text(HEAD + "\n".join(lines) + "\n")
    some = list(captions.examples(tmp_path))
    assert some == [
        ("n02084071", "the dog barked all night"),
        ("n02084071", "no such thing"),
        ("n09886220", "you nasty dog"),
    ]
    found, first, missed = captions.meant(some, CaptionNouns.load().find)
    assert (found, first, missed) == (2, 1, Counter(["dog"]))


def test_all_figures_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data.noun").write_text(HEAD + '02084071 05 n 01 dog 0 000 | an animal; "the dog barked"  \n')
    flags = ["--quick", "--wordnet", str(tmp_path), "--out", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", ["captions.py", *flags])
    captions.main()
    found = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert found["example sentences, merge"]["recall"] == 1.0 and found["nouns"]["unit"] == "captions/s"
    assert all(0.0 < found[f"nouns, {rule}"]["precision"] <= 1.0 for rule in captions.RULES)
    assert found["nouns, merge"]["missed"] and "not expected: " in capsys.readouterr().out
