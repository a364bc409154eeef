"""The comparison on stopped concepts, whole, on a small corpus: classes, what is trained on, and what it writes."""

import hashlib
import json
from pathlib import Path

import pytest

from tagmill.bench import transfer_drawn as module
from tagmill.bench.transfer_drawn import STOPPED, VIEW, main, make_stopped_view, stopped_images, verdict_of
from tagmill.demo.concepts import CONCEPTS
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import Corpus, Store, TagmillError, View
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.writer import ShardWriter, publish
from tagmill.transfer.outcome.over_seeds import PairedDifference
from tests.pipeline.corpora import picture

WORDS = ["ice cream", "strawberry", "lighthouse", "donut", "doughnut", "penguin", "goldfish", "watermelon", "crab"]


def make_tagged(folder: Path) -> Corpus:
    """Writes a corpus of 12 images of each of the nine words, more of other concepts, and one of two labels."""
    tags = [("#" + word.replace(" ", ""), "potd") for word in WORDS for _ in range(12)]
    tags += [(word,) for word in ("pizza", "owl", "guitar") for _ in range(20)] + [("crabs", "crab", "pizza")]
    store, entries, number = Store(str(folder)), list[ShardEntry](), 0
    for split, name, part in (("train", "000000", tags), ("holdout", "holdout-000000", tags[-30:])):
        with ShardWriter(name, split, folder / "spool") as writer:
            for own in part:
                digest = hashlib.sha256(str(number).encode()).hexdigest()
                writer.add(Record(digest, (0, 0, 0, 0), 40, 32, 40, 32, own), picture(number))
                number += 1
            entries.append(writer.finish())
        publish(store, folder / "spool", name)
    totals = {"samples": number, "bytes": sum(entry.bytes for entry in entries)}
    totals |= {"train": len(tags), "holdout": number - len(tags)}
    commit(store, CorpusFile("small", put_manifest(store, entries), totals, views={}))
    view(ViewConfig(corpus=str(folder), name="default", processes=1))
    return Corpus.open(str(folder))


def test_eight_concepts_are_stopped() -> None:
    assert len(STOPPED) == 8 and len({concept.name for concept in STOPPED}) == 8
    assert {word for concept in STOPPED for word in concept.words} >= set(WORDS)
    assert not {concept.name for concept in STOPPED} & {"pizza", "owl", "guitar"}


def test_the_whole_comparison_is_written_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_tagged(tmp_path / "corpus")
    url = str(tmp_path / "corpus")
    words = ["--corpus", url, "--folder", str(tmp_path / "run"), "--images", "64", "--seeds", "2", "--processes", "1"]
    written = []
    for name in ("one.json", "two.json"):  # the second time the models and features are there
        main([*words, "--out", str(tmp_path / name)])
        cases = json.loads((tmp_path / name).read_text())["cases"]
        assert set(cases.pop("seconds")) > {"view", "training in this call", "batch statistics"}
        written.append(cases)
    assert written[0] == written[1]
    settings = written[0]["settings"]
    assert (
        len(settings["classes"]) == 9 and settings["images_to_judge_on"] == 54 and settings["images_to_train_on"] == 61
    )
    trained, random = (written[0][arm]["by_seed_and_draw"] for arm in ("trained", "random"))
    assert [len(each) for each in (*trained, *random)] == [3] * 4 and trained != random and random[0] != random[1]
    wanted = [sum(ours) / 3 - sum(theirs) / 3 for ours, theirs in zip(trained, random, strict=True)]
    assert written[0]["trained - random"]["by_seed"] == pytest.approx(wanted)
    assert written[0]["verdict"] == {"unit": "", "text": "none: 54 images to judge on, fewer than 600", "chance": 1 / 9}
    assert "2 pairs: none" in capsys.readouterr().out

    names = {label.name for label in View.open(Corpus.open(url), VIEW).vocabulary.labels}
    assert names == {"pizza", "owl", "guitar"}
    images = stopped_images(url)
    assert len(images) == 12 * 9 and all(len(example.labels) == 1 for example in images.examples)
    assert images.read([0]) == [picture(0)] and corpus.file.manifest == Corpus.open(url).file.manifest


def test_a_view_that_has_the_concepts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tagged(tmp_path / "corpus")
    url = str(tmp_path / "corpus")
    view(ViewConfig(corpus=url, name=VIEW, processes=1))
    with pytest.raises(TagmillError, match=r"view stopped has labels of stopped concepts: .*lighthouse"):
        make_stopped_view(url, tmp_path)
    with pytest.raises(TagmillError, match="108 images to judge on have labels in view stopped"):
        stopped_images(url)
    monkeypatch.setattr(module, "SYNSETS", frozenset(concept.synset for concept in CONCEPTS[:1]))
    with pytest.raises(SystemExit, match="transfer-drawn: a set without images"):
        main(["--corpus", url, "--folder", str(tmp_path / "run")])


@pytest.mark.parametrize(
    ("low", "high", "images", "says"),
    [
        (0.01, 0.2, 600, "trained above random"),
        (-0.2, -0.01, 600, "trained below random"),
        (-0.1, 0.1, 600, "no difference shown"),
        (0.01, 0.2, 599, "none: 599 images to judge on, fewer than 600"),
        (None, None, 600, "none: one pair has no interval"),
    ],
)
def test_the_verdict_follows_from_the_interval(low: float | None, high: float | None, images: int, says: str) -> None:
    assert verdict_of(PairedDifference(0.1, low, high), images) == says
