"""Tables of labels as people have them: every form gives the same view, and what cannot be read is one line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill import cli
from tagmill.ingest.views.view_command import ViewConfig, view
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tests.ingest.tagged import Tagged, make

NAMES = ["brown bear", "oak", "2020"]
SETS = ["n02132136", "n12268246", "n02084071"]


@pytest.fixture
def made(tmp_path: Path) -> Tagged:
    labels = [
        {"id": number, "name": name, "synsets": [synset], "lemmas": [], "tokens": {}, "images": 0}
        for number, (name, synset) in enumerate(zip(NAMES, SETS))
    ]
    text = json.dumps({"labels": labels, "rule": "merge", "source": {}})
    (tmp_path / "vocabulary.json").write_text(text)
    return make(tmp_path, [[["cat"]] * 4, [["dog"]] * 2], [[["cat"]]])


def config(made: Tagged, folder: Path, name: str, **more: Any) -> ViewConfig:
    given = {"labels": str(folder / name), "vocabulary": str(folder / "vocabulary.json"), **more}
    return ViewConfig(corpus=made.corpus.store.url, name="v", processes=1, **given)


def write_forms(folder: Path, keys: list[str], ids: list[int]) -> list[str]:
    names = [NAMES[number] for number in ids]
    pq.write_table(pa.table({"label": pa.array(ids, pa.uint8()), "key": keys}), folder / "ids.parquet")
    (folder / "several.parquet").mkdir()  # as Spark writes
    for part in (0, 1):
        columns = {"key": pa.array(keys[part::2], pa.large_string()), "label": pa.array(ids[part::2], pa.int64())}
        pq.write_table(pa.table(columns), folder / "several.parquet" / f"part-{part}.parquet")
    categories = pa.array(names).dictionary_encode()
    pq.write_table(pa.table({"key": keys, "label": categories, "more": ids}), folder / "names.parquet")
    lines = [f'{key},"{name}",x' for key, name in zip(keys, names)]
    (folder / "names.csv").write_text("\n".join(["key,label,more", *lines, ""]))
    lines = [f"{key}\t{SETS[number]}" for key, number in zip(keys, ids)]
    (folder / "synsets.tsv.gz").write_bytes(gzip.compress("\n".join(["key\tlabel", *lines]).encode()))
    lines = [f"{number},{key}" for key, number in zip(keys, ids)]
    (folder / "numbers.csv").write_text("\n".join(["label,key", *lines]))
    return ["ids.parquet", "several.parquet", "names.parquet", "names.csv", "synsets.tsv.gz", "numbers.csv"]


def test_every_form_of_a_table_gives_the_same_view(made: Tagged, tmp_path: Path) -> None:
    keys, ids = [made.keys[0], made.keys[0], made.keys[3], made.keys[5], made.keys[6]], [0, 1, 2, 0, 1]
    forms = write_forms(tmp_path, keys, ids)
    found = [view(config(made, tmp_path, form)) for form in forms]
    assert len({each.view for each in found}) == 1
    opened = View.open(Corpus.open(made.corpus.store.url), "v")
    assert [label.name for label in opened.vocabulary.labels] == NAMES
    assert [label.images for label in opened.vocabulary.labels] == [2, 1, 1] and opened.file.totals["selected"] == 4
    vocabulary = f"{made.corpus.store.url}#v"  # the vocabulary of a view
    assert view(config(made, tmp_path, forms[0], vocabulary=vocabulary)).view == found[0].view


def test_the_command_says_what_it_did_not_use(made: Tagged, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(made.keys[0], "oak"), (made.keys[0], "oak"), ("0" * 32, "oak"), (made.keys[1], "elm"), (made.keys[2], "")]
    (tmp_path / "t.csv").write_text("\n".join(["key,label", *map(",".join, rows)]))
    words = ["--labels", str(tmp_path / "t.csv"), "--vocabulary", str(tmp_path / "vocabulary.json")]
    cli.main(["corpus", "view", made.corpus.store.url, "v", *words, "--processes", "1"])
    said = " ".join(capsys.readouterr().out.split())
    for part in ("5 rows, 1 used", "unknown keys 1 rows", "unknown labels 2 rows", "repeated rows 1 rows"):
        assert part in said
    assert "0% matched" not in said
    cli.main(["corpus", "view", made.corpus.store.url, "v", *words, "--processes", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["rows"] == {
        "total": 5,
        "unknown_keys": 1,
        "unknown_labels": 2,
        "repeated": 1,
    }


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("a.parquet", {"key": ["0" * 32], "id": [1]}, "0 columns 'label'"),
        ("a.parquet", {"key": [b"0"], "label": [1]}, "keys of type binary"),
        ("a.parquet", {"key": ["0" * 32], "label": [1.5]}, "labels of type double"),
        ("a.parquet", {"key": ["0" * 32], "label": [1]}, "none of 1 rows has the key"),
        ("a.parquet", {"key": pa.array([], pa.string()), "label": pa.array([], pa.int32())}, "has no rows"),
        ("a.csv", "id,label\n1,2\n", "0 columns 'key'"),
        ("a.csv", "", "0 columns 'key'"),
        ("a.csv", "key,label\n00,oak,7\n", r"a\.csv"),
        ("a.parquet", "no Parquet", r"a\.parquet"),
        ("a.txt", "00 1", "no table of labels here"),
        ("none.parquet", None, "no table of labels here"),
        ("none.csv", None, "no such"),
    ],
)
def test_what_cannot_be_read_is_one_line(made: Tagged, tmp_path: Path, name: str, columns: Any, message: str) -> None:
    if isinstance(columns, dict):
        pq.write_table(pa.table(columns), tmp_path / name)
    elif columns is not None:
        (tmp_path / name).write_text(columns)
    with pytest.raises(TagmillError, match=message) as raised:
        view(config(made, tmp_path, name))
    assert "\n" not in str(raised.value) and not Corpus.open(made.corpus.store.url).file.views


def test_a_label_that_the_vocabulary_lacks_and_flags_about_tags_are_refused(made: Tagged, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"key,label\n{made.keys[0]},elm\n")
    with pytest.raises(ConfigError, match="has a label of the vocabulary"):
        view(config(made, tmp_path, "t.csv"))
    with pytest.raises(ConfigError, match="--labels and --compounds"):
        config(made, tmp_path, "t.csv", compounds=True)
    with pytest.raises(ConfigError, match="a table of labels and the vocabulary 'in1k'"):
        view(config(made, tmp_path, "t.csv", vocabulary="in1k"))
