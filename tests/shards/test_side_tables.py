"""Tests which tables of rejects a corpus has: those of its own runs."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.manifest import CorpusFile, Named
from tagmill.shards.side_tables import label, num_runs, of_runs


@given(st.sets(st.tuples(st.integers(0, 30), st.integers(0, 1 << 21))), st.integers(1, 12))
def test_tables_are_selected_by_their_run(tables: set[tuple[int, int]], runs: int) -> None:
    names = {f"rejects/{label(run, f'{group:06d}')}.parquet": run for run, group in tables}
    assert len(names) == len(tables), "no two groups share a name"
    assert of_runs(names, runs) == [name for name, run in names.items() if run < runs]


def test_foreign_files_are_not_selected() -> None:
    names = [
        "rejects/notes.parquet",
        "rejects/000000.parquet.old",
        "rejects/extend-x-000000.parquet",
        "rejects/000.parquet",
    ]
    assert of_runs(names, 5) == ["rejects/000.parquet"]


def test_a_corpus_without_lineage_has_one_run() -> None:
    file = CorpusFile("mine", Named("manifests/x", "0" * 64), {})
    assert num_runs(file) == 1
    assert num_runs(CorpusFile("mine", Named("manifests/x", "0" * 64), {}, lineage=[{}, {}, {}])) == 3
