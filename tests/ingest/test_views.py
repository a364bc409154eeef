"""Views against a brute force in Python: tag union, vocabulary, label ids by shard."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engine_duckdb import DuckDB
from tagmill.ingest.hashtags import clean
from tagmill.ingest.select import SELECTION
from tagmill.ingest.synsets import label_name, labels_of
from tagmill.ingest.views import NAME, Labelled, LabelRules, by_shard, make_view, rarest
from tagmill.shards.errors import CorpusError
from tagmill.shards.lint import lint_view
from tagmill.shards.manifest import Corpus, CorpusFile, ShardEntry, commit, put_manifest
from tagmill.shards.store import Store
from tagmill.shards.view import ONE, View

FACTS = pa.schema([("row_id", pa.int64()), ("tags", pa.list_(pa.string()))])
TAGS = [
    "#BrownBear",
    "ursus arctos",
    "bear",
    "bears",
    "cat",
    "Katze",
    "paris",
    "jaguar",
    "#sunset",
    "love",
    "",
    "犬",
    None,
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


@st.composite
def selections(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Samples, duplicates that yield to them, and rejects, each with tags; in order of (part, place)."""
    samples = draw(st.integers(0, 8))
    kinds = draw(st.lists(st.one_of(st.none(), st.integers(0, samples - 1)), max_size=12)) if samples else []
    fates = draw(st.permutations([("sample", i) for i in range(samples)] + [("other", k) for k in kinds]))
    rows = []
    for number, (fate, key) in enumerate(fates):
        tags = draw(st.one_of(st.none(), st.lists(st.sampled_from(TAGS), max_size=5)))
        row = {"row_id": number, "part": number // 5, "place": number % 5, "tags": tags, "key": None, "split": None}
        row |= {"reason": None, "yields_to": None, "sample_bytes": None}
        if fate == "sample":
            row |= {"key": f"key{key}", "split": draw(st.sampled_from(["train", "train", "holdout"]))}
        elif key is None:
            row |= {"reason": "not_found"}
        else:
            row |= {"key": f"key{key}", "reason": "duplicate", "yields_to": f"key{key}"}
        rows.append(row)
    return rows


def unions(rows: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """By key, how many of its rows carry each tag."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if row["key"]:
            found.setdefault(row["key"], Counter()).update({tag for tag in row["tags"] or [] if tag is not None})
    return found


def brute_force(rows: list[dict[str, Any]], rules: LabelRules) -> tuple[list[tuple[str, int]], list[list[int]]]:
    """The vocabulary (names and counts in id order) and the label ids of every sample, in corpus order."""
    union = unions(rows)
    ordered = sorted(
        (row for row in rows if row["split"]), key=lambda row: (row["split"] == "holdout", row["part"], row["place"])
    )
    names = [
        {label_name(label) for tag in union[row["key"]] for label in labels_of(clean(tag), rules.rule)}
        for row in ordered
    ]
    counts = Counter(
        name for row, found in zip(ordered, names, strict=True) if row["split"] == "train" for name in found
    )
    vocabulary = sorted(
        ((name, count) for name, count in counts.items() if count >= rules.min_count), key=lambda nc: (-nc[1], nc[0])
    )[: rules.top_k]
    ids = {name: number for number, (name, _) in enumerate(vocabulary)}
    return vocabulary, [sorted(ids[name] for name in found if name in ids)[-rules.max_labels :] for found in names]


def entries_of(rows: list[dict[str, Any]], most: int) -> list[ShardEntry]:
    entries = []
    for split, prefix in (("train", ""), ("holdout", "holdout-")):
        left = sum(row["split"] == split for row in rows)
        while left:
            samples = min(left, most)
            name = f"{prefix}{sum(entry.split == split for entry in entries):06d}"
            entries.append(ShardEntry(name, split, samples, 1, "t", "i", "p"))
            left -= samples
    return entries


def label(
    engine: DuckDB, rows: list[dict[str, Any]], rules: LabelRules, folder: str, most: int
) -> tuple[Labelled, Corpus]:
    store = Store(f"{folder}/corpus")
    entries = entries_of(rows, most)
    manifest = put_manifest(store, entries)
    labelled = make_view(
        engine,
        store,
        pa.Table.from_pylist(rows, FACTS),
        pa.Table.from_pylist(rows, SELECTION),
        manifest,
        entries,
        rules,
        seed=3,
        rejects_sha256="r",
        spool=Path(folder),
    )
    commit(store, CorpusFile("c", manifest, {}, {NAME: labelled.view}))
    return labelled, Corpus.open(store.url)


all_rules = st.builds(
    LabelRules,
    rule=st.sampled_from(["merge", "first", "all"]),
    min_count=st.integers(1, 3),
    top_k=st.one_of(st.none(), st.integers(1, 4)),
    max_labels=st.integers(1, 3),
)


@settings(max_examples=60, deadline=None)
@given(selections(), all_rules, st.integers(1, 4))
def test_a_view_is_the_brute_force_one(
    engine: DuckDB, rows: list[dict[str, Any]], rules: LabelRules, most: int
) -> None:
    vocabulary, labels = brute_force(rows, rules)
    with tempfile.TemporaryDirectory() as folder:
        labelled, corpus = label(engine, rows, rules, folder, most)
        view = View.open(corpus, NAME)
        lint_view(corpus, NAME)
        assert [(label.name, label.images) for label in view.vocabulary.labels] == vocabulary
        found = [
            [number for number in row if number >= 0]
            for shard, line in enumerate(view.shards)
            for row in view.labels(shard, 0, line.samples).tolist()
        ]
        assert found == labels
        selected = [
            ordinal + sum(line.samples for line in view.shards[:shard])
            for shard, line in enumerate(view.shards)
            for ordinal in (view.run(shard, 0, 0, line.counts[0]) if line.counts else [])
        ]
        assert selected == [ordinal for ordinal, row in enumerate(labels) if row]
        assert labelled.unlabelled == sum(not row for row in labels)
        union = unions(rows)
        assert labelled.tags == sum(map(len, union.values()))
        matched = [tag for tags in union.values() for tag in tags if labels_of(clean(tag), rules.rule)]
        assert labelled.tags_matched == len(matched)


def test_the_union_counts_rows_and_keeps_the_commonest(engine: DuckDB) -> None:
    """A tag that stands twice in one row counts once; equal counts go by name."""
    rows = [["b", "b", "a"], ["b", "c"], ["c", "d", None]]
    engine.bind("facts", pa.table({"row_id": range(3), "tags": pa.array(rows, pa.list_(pa.string()))}))
    kept = {"split": ["train", None, None], "reason": [None, "duplicate", "duplicate"]}
    engine.bind("selection", pa.table({"row_id": range(3), "key": ["k"] * 3, "yields_to": [None, "k", "k"], **kept}))
    counted = [("k", "b", 2), ("k", "c", 2), ("k", "a", 1), ("k", "d", 1)]
    for most in (1, 2, 3, 4, 5):
        found = [tuple(row.values()) for row in engine.run("tags", max_tags=most).read_all().to_pylist()]
        assert sorted(found) == sorted(counted[:most])


def test_tokens_and_lemmas_stand_in_the_vocabulary(engine: DuckDB, tmp_path: Path) -> None:
    base = {"part": 0, "reason": None, "yields_to": None, "sample_bytes": 1, "split": "train"}
    tags = [["#brownBear"], ["Brown Bear!", "#brownbear", "love it"], ["ursus_arctos", "brownbear"]]
    rows = [{**base, "row_id": i, "place": i, "key": f"k{i}", "tags": t} for i, t in enumerate(tags)]
    _, corpus = label(engine, rows, LabelRules(), str(tmp_path), 10)
    (bear,) = View.open(corpus, NAME).vocabulary.labels
    assert bear.synsets == ("n02132136",) and bear.images == 3
    assert dict(bear.tokens) == {"brownbear": 3, "ursusarctos": 1}
    assert bear.lemmas == ("brown_bear", "bruin", "Ursus_arctos")


@given(
    st.lists(st.lists(st.integers(0, 9), unique=True, max_size=6).map(sorted), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_the_rarest_labels_stay(samples: list[list[int]], most: int) -> None:
    rows = [(number, label) for number, labels in enumerate(samples) for label in labels]
    columns = np.array(rows, np.int64).reshape(-1, 2).T
    labels, cut = rarest(columns[0], columns[1], len(samples), most)
    assert labels.dtype == np.int32 and labels.shape == (len(samples), most)
    assert [[label for label in row if label >= 0] for row in labels.tolist()] == [row[-most:] for row in samples]
    assert cut == sum(max(0, len(row) - most) for row in samples)


@given(st.lists(st.lists(st.integers(0, 3), unique=True, max_size=3).map(sorted), max_size=12), st.data())
def test_shards_are_cut_wherever_batches_end(samples: list[list[int]], data: st.DataObject) -> None:
    rows = [(n // 4, n % 4, label) for n, labels in enumerate(samples) for label in (labels or [None])]
    table = pa.Table.from_pylist([dict(zip(["part", "place", "id"], row, strict=True)) for row in rows], BATCH)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=4)))
    sizes = np.diff([0, *cuts, len(samples)])
    sizes = [int(size) for size in sizes if size]
    batches = pa.RecordBatchReader.from_batches(BATCH, table.to_batches(max_chunksize=data.draw(st.integers(1, 5))))
    found = [list(zip(ordinals.tolist(), ids.tolist(), strict=True)) for ordinals, ids in by_shard(batches, sizes)]
    starts = np.cumsum([0, *sizes])
    assert found == [
        [(n - start, label) for n in range(start, start + size) for label in samples[n]]
        for start, size in zip(starts, sizes, strict=False)
    ]


BATCH = pa.schema([("part", pa.int32()), ("place", pa.int32()), ("id", pa.int32())])


@pytest.mark.parametrize("sizes", [[], [2], [1, 1, 1, 1], [5]])
def test_a_stream_that_does_not_fit_the_shards_is_refused(sizes: list[int]) -> None:
    table = pa.table({"part": [0] * 3, "place": [0, 1, 2], "id": [1, None, 1]}).cast(BATCH)
    with pytest.raises(CorpusError, match="3 samples to label"):
        list(by_shard(table.to_reader(), sizes))


def test_a_repeat_is_one_for_labelled_samples_only(engine: DuckDB, tmp_path: Path) -> None:
    base = {"part": 0, "reason": None, "yields_to": None, "sample_bytes": 1}
    rows = [
        {**base, "row_id": i, "place": i, "key": f"k{i}", "tags": tags, "split": split}
        for i, (tags, split) in enumerate(
            [(["cat"], "train"), ([], "train"), (["cat"], "holdout"), (["dog"], "holdout")]
        )
    ]
    labelled, corpus = label(engine, rows, LabelRules(), str(tmp_path), 10)
    view = View.open(corpus, NAME)
    assert [(line.split, line.samples, line.counts) for line in view.shards] == [("train", 2, [1]), ("holdout", 2, [1])]
    assert view.file.totals["copies"] == 1 and ONE == 1 << 16
    assert labelled.unlabelled == 2  # a label that no training picture has is not in the vocabulary
