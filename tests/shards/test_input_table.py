"""The table of a run's input files, and the list in corpora of earlier versions."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.parquet import table_bytes
from tagmill.shards.input_table import INPUTS, InputTotals, input_table, num_inputs, put_inputs, read_inputs
from tagmill.shards.lint import lint_inputs
from tagmill.shards.manifest import Corpus, CorpusFile, commit, put_manifest
from tagmill.shards.storage.store import Store

PLAIN = {"kind": "lists", "sha256": None, "listing_sha256": None, "skipped": 0, "replaced_rows": 0, "joined_lines": 0}
LINES = [
    PLAIN | {"name": "a.tar", "kind": "tars", "bytes": 10_240, "rows": 2, "listing_sha256": "1" * 64},
    PLAIN | {"name": "b.csv", "bytes": 9, "rows": 3, "sha256": "2" * 64, "skipped": 1},
]
TOTALS = InputTotals(2, 5, 10_249, 1)
# As earlier versions wrote them: warnings only where there were some, and no kind of a list.
INLINE = [
    {"name": "a.tar", "kind": "tars", "bytes": 10_240, "rows": 2, "listing_sha256": "1" * 64},
    {"name": "b.csv", "bytes": 9, "rows": 3, "sha256": "2" * 64, "skipped": 1},
]


def corpus(folder: Path, *lineage: dict[str, Any]) -> Corpus:
    store = Store(str(folder))
    commit(store, CorpusFile("mine", put_manifest(store, []), {}, lineage=list(lineage)))
    return Corpus.open(store.url)


def test_a_table_is_named_by_its_content_and_read_back(tmp_path: Path) -> None:
    store, noted = Store(str(tmp_path)), list[str]()
    data = table_bytes(LINES, INPUTS)
    entry = put_inputs(store, data, TOTALS, noted.append)
    named = input_table(entry)
    assert named is not None and noted == [named.path] and store.read(named.path) == data
    assert named.path == f"manifests/inputs-{named.sha256[:12]}.parquet"
    assert put_inputs(store, data, TOTALS) == entry  # a run that was killed puts it again
    made = corpus(tmp_path, {"rows": 5, **entry}, {"inputs": INLINE}, {})
    assert [num_inputs(run) for run in made.file.lineage] == [2, 2, None]
    assert [read_inputs(made, run).to_pylist() for run in range(3)] == [LINES, LINES, []]
    assert read_inputs(made, 1).schema == INPUTS
    lint_inputs(made)


def test_a_table_that_was_altered_or_lost_is_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    entry = put_inputs(store, table_bytes(LINES, INPUTS), TOTALS)
    path = entry["input_table"]["path"]
    wrong = {"input_table": entry["input_table"] | {"files": 3}}
    with pytest.raises(IntegrityError, match="2 input files of run 0, 3 expected"):
        lint_inputs(corpus(tmp_path, wrong))
    made, data = corpus(tmp_path, entry), bytearray(store.read(path))
    data[9] ^= 1
    store.put(path, bytes(data))
    with pytest.raises(IntegrityError, match="altered"):
        lint_inputs(made)
    with pytest.raises(IntegrityError, match="altered"):
        put_inputs(store, table_bytes(LINES, INPUTS), TOTALS)
    store.delete(path)
    with pytest.raises(IntegrityError, match="missing"):
        read_inputs(made, 0)


@pytest.mark.parametrize("number", [10_000, 100_000])
def test_a_reader_does_not_pay_for_the_number_of_inputs(tmp_path: Path, number: int) -> None:
    """Bytes of `corpus.json`, and memory of opening it, are the same for any number of files."""
    columns = {field.name: pa.array([PLAIN.get(field.name)] * number, field.type) for field in INPUTS}
    columns["name"] = pa.array([f"s3://bucket/a/folder/of/tars/{ordinal:07d}.tar" for ordinal in range(number)])
    columns["bytes"] = columns["rows"] = pa.array([10_000] * number)
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table(columns, INPUTS), sink)
    store = Store(str(tmp_path))
    entry = put_inputs(store, bytes(sink.getvalue()), InputTotals(number, 1 << 40, 1 << 50))
    corpus(tmp_path, entry)
    assert store.size("corpus.json") < 2000
    tracemalloc.start()
    opened = Corpus.open(store.url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 and num_inputs(opened.file.lineage[0]) == number == len(read_inputs(opened, 0))


def test_an_earlier_version_does_not_count_the_files_of_a_table() -> None:
    """It looks for `inputs`, and refuses to extend a corpus without; so the key is another."""
    assert "inputs" not in put_inputs(Store("memory://inputs"), b"x", TOTALS)
    totals = InputTotals.of({"files": 1, "rows": 2, "bytes": 3, "skipped": 4, "later": 5})
    assert totals == InputTotals(1, 2, 3, 4) and replace(totals, files=0) == InputTotals(0, 2, 3, 4)
    assert json.loads(json.dumps(put_inputs(Store("memory://inputs"), b"x", TOTALS)))["input_table"]["files"] == 2
