"""Reads a corpus or an export with one other tool, in that tool's environment, and prints what it found as JSON: by split, a
list of [key, label ids]. Tars have no labels: there they are those of `.labels.npy` at the place that the tool gives a sample.

python exchange_reader.py TOOL FOLDER
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARS = {"train": "[0-9]*.tar", "holdout": "holdout-*.tar"}
JPEG = b"\xff\xd8\xff"
Rows = dict[str, list[list[Any]]]


def _paths(folder: str, pattern: str) -> list[str]:
    return sorted(map(str, Path(folder).glob(pattern)))


class Labels:
    """The labels of the view `default`, by the shard and the place of a sample in it."""

    def __init__(self, folder: str) -> None:
        self._folder, self._taken = folder, Counter[str]()
        self._labels: dict[str, list[list[int]]] = {}

    def row(self, key: str, shard: str, place: int | None = None) -> list[Any]:
        """Returns [key, label ids] of the next sample that a tool gives of a shard, or of the one at a place."""
        import numpy

        if shard not in self._labels:
            (path,) = _paths(self._folder, f"views/default/*/{shard}.labels.npy")
            self._labels[shard] = numpy.load(path, allow_pickle=False).tolist()
        at = self._taken[shard] if place is None else place
        self._taken[shard] += 1
        return [key, [label for label in self._labels[shard][at] if label >= 0]]


def webdataset_tars(folder: str) -> Rows:
    import webdataset

    found: Rows = {}
    labels = Labels(folder)
    for split, pattern in TARS.items():
        samples = webdataset.WebDataset(_paths(folder, f"shards/{pattern}"), shardshuffle=False)
        found[split] = []
        for each in samples:
            assert each["jpg"].startswith(JPEG)
            assert json.loads(each["json"])["key"] == each["__key__"]
            found[split].append(labels.row(each["__key__"], Path(each["__url__"]).stem))
    return found


def img2dataset(folder: str) -> Rows:
    import webdataset

    found: Rows = {}
    for split in TARS:
        samples = webdataset.WebDataset(_paths(folder, f"{split}/*.tar"), shardshuffle=False).decode("pil")
        found[split] = []
        for each in samples:
            assert each["jpg"].size == (each["json"]["width"], each["json"]["height"])
            found[split].append([each["__key__"], each["json"]["label_ids"]])
    return found


def huggingface(folder: str, streaming: bool, labels: bool) -> Rows:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        found = load_dataset(folder, streaming=streaming, cache_dir=cache)
        if labels:
            return {
                split: [
                    [each["key"], each["labels"]]
                    for each in rows
                    if each["image"].size == (each["width"], each["height"])
                ]
                for split, rows in found.items()
            }
        of_tars = Labels(folder)
        return {
            split: [
                of_tars.row(each["__key__"].rpartition("/")[2], Path(each["__url__"]).stem)
                for each in rows
                if each["jpg"].size[0] == each["json"]["width"]
            ]
            for split, rows in found.items()
        }


def croissant(folder: str) -> Rows:
    import mlcroissant
    import pyarrow.parquet

    found = mlcroissant.Dataset(jsonld=f"{folder}/croissant.json")
    labels = list(found.records(record_set="labels-default"))
    vocabulary = json.loads(next(iter(Path(folder).glob("views/default/*/vocabulary.json"))).read_bytes())
    assert [each["labels-default/name"].decode() for each in labels] == [each["name"] for each in vocabulary["labels"]]
    keys = [each["samples/key"].decode() for each in found.records(record_set="samples")]
    tables = {
        Path(path).stem: pyarrow.parquet.read_table(path, columns=["key"])
        for path in _paths(folder, "shards/*.parquet")
    }
    shards = {key: shard for shard, table in tables.items() for key in table["key"].to_pylist()}
    of_tables = Labels(folder)  # in the order in which the tool gives the rows of a table
    return {"all": [of_tables.row(key, shards[key]) for key in keys]}


def energon(folder: str) -> Rows:
    parts = ["--split-parts", "train:shards/0.*", "--split-parts", "val:shards/holdout.*"]
    command = [str(Path(sys.executable).parent / "energon"), "prepare", "--non-interactive", "--no-progress"]
    command += ["--num-workers", "1", *parts, "--sample-type", "CrudeWebdataset", "."]
    subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr)
    (index,) = Path(folder).glob(".nv-meta/index.sqlite")
    with sqlite3.connect(index) as base:
        samples = base.execute("SELECT sample_key, tar_file_id, sample_index FROM samples").fetchall()
    # Numbers of tars are places in this list.
    tars = list(json.loads(Path(folder, ".nv-meta", ".info.json").read_bytes())["shard_counts"])
    labels = Labels(folder)
    return {"all": [labels.row(key, Path(tars[tar]).stem, place) for key, tar, place in samples]}


TOOLS: dict[str, Callable[[str], Rows]] = {
    "webdataset": webdataset_tars,
    "img2dataset": img2dataset,
    "datasets": lambda folder: huggingface(folder, False, True),
    "datasets-streamed": lambda folder: huggingface(folder, True, True),
    "datasets-tars": lambda folder: huggingface(folder, True, False),
    "mlcroissant": croissant,
    "energon": energon,
}

if __name__ == "__main__":
    print(json.dumps(TOOLS[sys.argv[1]](sys.argv[2])))
