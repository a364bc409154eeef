"""The true labels of a corpus of drawn images, on a handmade web: wrong tags change none of them."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.demo.true_labels import ALL_FILE, FEW_FILE, TRUE_LABELS, few_labels, part_of, write_true_labels
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards import Corpus, View
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import CorpusFile, commit, put_manifest
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import ShardWriter, publish
from tagmill.transfer.sets.open_set import open_set
from tests.transfer.drawn_set import drawn_jpeg

SHOWN = {"sailboat": "n04128499", "owl": "n01621127"}
TRAIN, HELD_OUT = 40, 12


def concept(number: int) -> str:
    return ("sailboat", "owl")[number % 2]


def made(folder: Path) -> tuple[Path, Path]:
    """Writes a web and a corpus, where each image with a number that 5 divides has the tag of the other concept."""
    web, corpus = folder / "web", folder / "corpus"
    web.mkdir()
    rng, store, entries = np.random.default_rng(0), Store(str(corpus)), []
    for name, split, numbers in (
        ("000000", "train", range(TRAIN)),
        ("holdout-000000", "holdout", range(TRAIN, TRAIN + HELD_OUT)),
    ):
        with ShardWriter(name, split, folder / "spool") as writer:  # type: ignore[arg-type]
            for number in numbers:
                tag = concept(number + (number % 5 == 0))
                digest = hashlib.sha256(b"%d" % number).hexdigest()
                record = Record(digest, (0, 0, 0, 0), 24, 24, 24, 24, (tag,))
                record = replace(record, url=f"http://127.0.0.1:8765/anna/{number}.jpg")
                writer.add(record, drawn_jpeg(number % 2, 2, rng, 24))
            entries.append(writer.finish())
        publish(store, folder / "spool", name)
    manifest = put_manifest(store, entries)
    totals = {"samples": TRAIN + HELD_OUT, "train": TRAIN, "holdout": HELD_OUT}
    commit(store, CorpusFile("drawn", manifest, totals))
    view(ViewConfig(corpus=store.url, name="default", processes=1))
    rows = range(TRAIN + HELD_OUT + 3)  # the last ones are of no sample
    truth = {"path": [f"/anna/{row}.jpg" for row in rows], "synset": [SHOWN[concept(row)] for row in rows]}
    pq.write_table(pa.table(truth), web / "truth.parquet")
    return web, corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("true")
    web, corpus = made(folder)
    write_true_labels(web, corpus, folder)
    return folder


def test_every_sample_has_the_label_of_what_was_drawn(folder: Path) -> None:
    table = pq.read_table(folder / ALL_FILE)
    assert table.schema.names == TRUE_LABELS.names
    keys = {hashlib.sha256(b"%d" % number).hexdigest()[:32]: number for number in range(TRAIN + HELD_OUT)}
    assert table.num_rows == len(keys)
    for row in table.to_pylist():
        number = keys.pop(row["key"])
        assert row["synset"] == SHOWN[concept(number)] and row["synset"] in row["label"].split("+")
        assert (row["part"] == "holdout") == (number >= TRAIN)


def test_the_same_corpus_gives_the_same_bytes(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in (ALL_FILE, FEW_FILE)}
    write_true_labels(folder / "web", folder / "corpus", folder)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not list(folder.glob("*.part"))


def test_a_view_of_them_is_a_set_with_clean_labels(folder: Path) -> None:
    """With the classes of the view of tags, so that the heads of networks on either are the same."""
    corpus = str(folder / "corpus")
    table = str(folder / ALL_FILE)
    view(ViewConfig(corpus=corpus, name="true", labels=table, vocabulary=f"{corpus}#default", processes=1))
    opened = Corpus.open(corpus)
    tags, true = View.open(opened, "default").vocabulary, View.open(opened, "true").vocabulary
    assert tags.classes_sha256 == true.classes_sha256
    keys = {hashlib.sha256(b"%d" % number).hexdigest()[:32]: number for number in range(TRAIN + HELD_OUT)}
    for split, size in (("train", TRAIN), ("holdout", HELD_OUT)):
        found = open_set(f"{corpus}#true", split)
        assert len(found) == size
        assert all(found.classes[each.labels[0]].name == concept(keys[each.key]) for each in found.examples)


def test_a_sample_of_another_web_is_an_error(folder: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["/anna/0.jpg"], "synset": ["n04128499"]}), tmp_path / "truth.parquet")
    with pytest.raises(KeyError):
        write_true_labels(tmp_path, folder / "corpus", tmp_path)
    assert not (tmp_path / ALL_FILE).exists()


def test_parts_are_a_tenth_of_training_samples_for_validation() -> None:
    keys = [hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in range(2000)]
    counts = Counter(part_of(key, "train") for key in keys)
    assert counts.keys() == {"train", "validation"} and 150 < counts["validation"] < 250
    assert {part_of(key, "holdout") for key in keys} == {"holdout"}


@given(
    st.dictionaries(
        st.integers(0, 10**6), st.tuples(st.sampled_from("abc"), st.sampled_from(["train", "validation", "holdout"]))
    ),
    st.integers(1, 4),
)
def test_few_labels_are_the_first_keys_of_each_label(rows: dict[int, tuple[str, str]], shots: int) -> None:
    keys = [f"{number:032x}" for number in rows]
    columns = [keys, *([place[each] for place in rows.values()] for each in (0, 0, 1))]
    table = pa.table([pa.array(column, pa.string()) for column in columns], schema=TRUE_LABELS)
    few = few_labels(table, shots).to_pylist()
    expected = {key for key, (_, part) in zip(keys, rows.values(), strict=True) if part == "holdout"}
    for label in "abc":
        mine = [key for key, (name, part) in zip(keys, rows.values(), strict=True) if (name, part) == (label, "train")]
        expected |= set(sorted(mine)[:shots])
    assert {row["key"] for row in few} == expected
    assert [row["key"] for row in few] == [key for key in keys if key in expected]
