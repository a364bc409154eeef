"""Views from a table of labels equal a brute force: labels, members, vocabulary and what is counted of the rows."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.labels.synsets import SynsetSet
from tagmill.ingest.labels.vocabulary_rules import VocabularyRules
from tagmill.ingest.views.build import CorpusSource, Labelled, make_view
from tagmill.ingest.views.recipe import Members, ViewRules, view_rules_of
from tagmill.ingest.views.table.label_rows import LABEL_ROWS, RowCounts
from tagmill.shards.errors import ConfigError
from tagmill.shards.lint import lint_view
from tagmill.shards.manifest import Corpus, commit
from tagmill.shards.view import View
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.tagged import Tagged, make
from tests.ingest.views.test_build import copies_of, ids_of

SETS = ("n02132136", "n02084071", "n02121620+n02121808", "n12268246")
Row = tuple[str, int | None]


@dataclass(frozen=True)
class Given:
    """A table in memory."""

    rows: list[Row]
    where: str = "table"

    def bind(self, engine: Engine, classes: Mapping[SynsetSet, str]) -> None:
        assert tuple(map("+".join, classes)) == SETS
        columns = [[key for key, _ in self.rows], [label for _, label in self.rows]]
        engine.bind("label_rows", pa.table(columns, schema=LABEL_ROWS))

    def recipe(self) -> Mapping[str, Any]:
        return {"kind": "given"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    with closing(DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)) as engine:
        yield engine


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> VocabularyRules:
    path = tmp_path_factory.mktemp("classes") / "labels"
    path.write_text("\n".join(SETS))
    return VocabularyRules(str(path))


def label(engine: Engine, made: Tagged, rules: ViewRules, spool: Path, processes: int = 1) -> tuple[Labelled, View]:
    spool.mkdir()
    corpus = made.corpus
    source = CorpusSource(corpus.store, corpus.file.manifest, made.entries, spool, processes)
    labelled = make_view(engine, source, "v", rules, seed=3)
    now = Corpus.open(corpus.store.url)
    commit(corpus.store, replace(now.file, views={"v": labelled.view}), now.file)
    lint_view(Corpus.open(corpus.store.url), "v")
    return labelled, View.open(Corpus.open(corpus.store.url), "v")


shards = st.lists(st.integers(1, 4), min_size=1, max_size=3)
row_lists = st.lists(st.tuples(st.integers(0, 13), st.sampled_from([None, -1, 0, 1, 2, 3, 4])), max_size=40)


@settings(max_examples=40, deadline=None)
@given(shards, st.lists(st.integers(1, 3), max_size=2), row_lists, st.integers(1, 4))
def test_a_view_of_a_table_equals_the_brute_force_one(
    engine: DuckDB, classes: VocabularyRules, train: list[int], held: list[int], pairs: list[Any], most: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), [[["cat"]] * n for n in train], [[["dog"]] * n for n in held])
        rows: list[Row] = [(made.keys[n] if n < len(made.keys) else f"{n:032x}", label) for n, label in pairs]
        rules = ViewRules(vocabulary=classes, max_labels=most, table=Given(rows))
        known = [(key, label) for key, label in rows if key in made.keys]
        good = {(key, label) for key, label in known if label in range(4)}
        if not good:
            with pytest.raises(ConfigError, match="rows"):
                label(engine, made, rules, Path(folder) / "work")
            return
        labelled, view = label(engine, made, rules, Path(folder) / "work")
        right = [label in range(4) for _, label in known]
        assert labelled.rows == RowCounts(
            len(rows), len(rows) - len(known), right.count(False), right.count(True) - len(good)
        )
        of_key = {key: sorted(int(label or 0) for found, label in good if found == key) for key in made.keys}
        trained = Counter(
            each for key, split in zip(made.keys, made.splits) if split == "train" for each in of_key[key]
        )
        assert [each.images for each in view.vocabulary.labels] == [trained[number] for number in range(4)]
        rarest = sorted(range(4), key=lambda number: (trained[number], -number))
        wanted = [sorted(sorted(of_key[key], key=rarest.index)[:most]) for key in made.keys]
        assert ids_of(view) == wanted and copies_of(view) == [int(bool(row)) for row in wanted]
        assert labelled.unlabelled == sum(not row for row in wanted)
        assert labelled.labels_cut == sum(map(len, of_key.values())) - sum(map(len, wanted))


def test_members_noise_and_resampling_apply_and_processes_do_not_matter(
    engine: DuckDB, classes: VocabularyRules, tmp_path: Path
) -> None:
    made = make(tmp_path, [[["cat"]] * 60, [["cat"]] * 40], [[["dog"]] * 5])
    rows: list[Row] = [(key, 0 if number % 10 else 1) for number, key in enumerate(made.keys)]
    members = Members("sqrt", 120, noise=0.2, subset=0.9, excluded=tuple(made.keys[:2]))
    rules = ViewRules(vocabulary=classes, members=members, table=Given(rows))
    labelled, view = label(engine, made, rules, tmp_path / "one")
    assert labelled.labels_replaced > 3 and labelled.left_out > 4 and labelled.epoch_samples in (119, 120)
    assert sum(copies_of(view)[:100]) > 95 and copies_of(view)[:2] == [0, 0]
    shuffled = replace(rules, table=Given(rows[::-1] + rows))
    assert label(engine, made, shuffled, tmp_path / "two", processes=2)[0].view == labelled.view
    other = replace(rules, table=Given(rows[1:]))
    assert label(engine, made, other, tmp_path / "three")[0].view != labelled.view


def test_a_view_of_a_table_is_not_made_again_for_more_shards(
    engine: DuckDB, classes: VocabularyRules, tmp_path: Path
) -> None:
    made = make(tmp_path, [[["cat"]] * 3])
    _, view = label(engine, made, ViewRules(vocabulary=classes, table=Given([(made.keys[1], 2)])), tmp_path / "work")
    assert view.file.recipe["labels"]["kind"] == "given" and len(view.file.recipe["labels"]["sha256"]) == 64
    assert view.vocabulary.rule == "table" and np.array_equal(view.labels(0, 1, 2)[0, :2], [2, -1])
    with pytest.raises(ConfigError, match="its labels come from a table") as raised:
        view_rules_of(view)
    assert "--drop-views" in raised.value.remedy


def test_a_table_needs_a_vocabulary_of_its_own() -> None:
    with pytest.raises(ConfigError, match="a table of labels and the vocabulary 'nouns'"):
        ViewRules(table=Given([]))


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_spark_makes_the_same_view(
    engine: DuckDB, classes: VocabularyRules, one_spark: OneSpark, tmp_path: Path
) -> None:
    from tagmill.ingest.engines.spark import Spark

    made = make(tmp_path, [[["cat"]] * 30, [["cat"]] * 20], [[["dog"]] * 5])
    rows: list[Row] = [(key, number % 5) for number, key in enumerate(made.keys * 2)] + [("", 1), (made.keys[0], None)]
    rules = ViewRules(vocabulary=classes, table=Given(rows))
    first, _ = label(engine, made, rules, tmp_path / "here")
    with closing(one_spark.cluster(tmp_path / "spark")) as cluster, closing(Spark(cluster)) as other:
        second, _ = label(other, made, rules, tmp_path / "there")
    assert second.view == first.view and second.rows == first.rows
