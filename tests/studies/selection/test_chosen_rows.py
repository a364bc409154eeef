"""What statements choose is what a brute force chooses, with ties, samples that are left out, and classes without scores."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Engine
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.protocol import Silent
from tagmill.studies.selection.chosen_rows import SCORED, Chosen, choose_rows
from tagmill.studies.selection.eligible import LEFT_OUT
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.studies.selection.scored import Rows, best_of_all, best_of_each, in_the_view


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    with closing(DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=1)) as engine:
        yield engine


def choose(
    engine: Engine, rows: Rows, left_out: set[str], labels: list[int], k: int, together: bool
) -> tuple[Chosen, list[tuple[str, int]]]:
    """What was chosen, and its pairs of key and label."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    engine.bind("scored", pa.table(columns, schema=SCORED))
    engine.bind("left_out", pa.table([sorted(left_out)], schema=LEFT_OUT))
    chosen = choose_rows(engine, labels, k, ranked_together=together, progress=Silent())
    table = engine.run("label_pairs").read_all()
    assert set(table["copies"].to_pylist()) == {1}
    return chosen, sorted(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))


KEYS = ["0a", "1", "b", "c", "\u00e9", "\uffff"]
tables = st.dictionaries(st.tuples(st.sampled_from(KEYS), st.integers(0, 4)), st.sampled_from([0, 1, 2, 65536]))


@settings(max_examples=60, deadline=None)
@given(tables, st.sets(st.sampled_from(KEYS), max_size=2), st.permutations(range(4)), st.integers(1, 5), st.booleans())
def test_choice_equals_brute_force(
    engine: DuckDB, table: dict[tuple[str, int], int], left_out: set[str], labels: list[int], k: int, together: bool
) -> None:
    rows = [(key, label, score) for (key, label), score in table.items()]
    able = [row for row in rows if row[0] not in left_out and row[1] in labels]
    if not able:
        with pytest.raises(ConfigError, match="no image has a score"):
            choose(engine, rows, left_out, labels, k, together)
        return
    wanted = best_of_each(able, k)
    if together:
        wanted = best_of_all(able, len({key for key, _, _ in wanted}))
    places = {label: place for place, label in enumerate(labels)}
    expected = in_the_view(wanted, places)
    chosen, found = choose(engine, rows, left_out, labels, k, together)
    assert found == [(key, label) for key, label, _ in expected]
    assert (chosen.rows, chosen.images) == (len(wanted), len({key for key, _, _ in wanted}))
    for label, count in zip(labels, chosen.counts, strict=True):
        scores = [score for _, own, score in wanted if own == label]
        assert count.available == sum(own == label for _, own, _ in able) and count.images == len(scores)
        assert (count.best, count.last) == ((max(scores), min(scores)) if scores else (0, 0))


@needs_spark
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_spark_chooses_the_same(engine: DuckDB, one_spark: OneSpark, tmp_path: Path) -> None:
    from tagmill.ingest.engines.spark import Spark

    rows = [(f"{n * 7919 % 100:02d}", label, (n * label * 31) % 7) for n in range(100) for label in range(5)]
    with closing(one_spark.cluster(tmp_path / "spark")) as cluster, closing(Spark(cluster)) as other:
        for together in (False, True):
            given = (rows, {"03", "50"}, [3, 0, 1, 9], 11, together)
            assert choose(other, *given) == choose(engine, *given)
