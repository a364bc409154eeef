"""Reads a corpus or an export with one other tool, in that tool's environment, and prints what it found as JSON: by split, a
list of [key] or [key, label ids].

python exchange_reader.py TOOL FOLDER
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARS = {"train": "[0-9]*.tar", "holdout": "holdout-*.tar"}
JPEG = b"\xff\xd8\xff"
Rows = dict[str, list[list[Any]]]


def _paths(folder: str, pattern: str) -> list[str]:
    return sorted(map(str, Path(folder).glob(pattern)))


def webdataset_tars(folder: str) -> Rows:
    import webdataset

    found: Rows = {}
    for split, pattern in TARS.items():
        samples = webdataset.WebDataset(_paths(folder, f"shards/{pattern}"), shardshuffle=False)
        found[split] = []
        for each in samples:
            assert each["jpg"].startswith(JPEG)
            assert json.loads(each["json"])["key"] == each["__key__"]
            found[split].append([each["__key__"]])
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
        return {
            split: [
                [each["__key__"].rpartition("/")[2]] for each in rows if each["jpg"].size[0] == each["json"]["width"]
            ]
            for split, rows in found.items()
        }


def croissant(folder: str) -> Rows:
    import mlcroissant

    found = mlcroissant.Dataset(jsonld=f"{folder}/croissant.json")
    labels = list(found.records(record_set="labels-default"))
    vocabulary = json.loads(next(iter(Path(folder).glob("views/default/*/vocabulary.json"))).read_bytes())
    assert [each["labels-default/name"].decode() for each in labels] == [each["name"] for each in vocabulary["labels"]]
    return {"all": [[each["samples/key"].decode()] for each in found.records(record_set="samples")]}


def energon(folder: str) -> Rows:
    parts = ["--split-parts", "train:shards/0.*", "--split-parts", "val:shards/holdout.*"]
    command = [str(Path(sys.executable).parent / "energon"), "prepare", "--non-interactive", "--no-progress"]
    command += ["--num-workers", "1", *parts, "--sample-type", "CrudeWebdataset", "."]
    subprocess.run(command, check=True, cwd=folder, stdout=sys.stderr)
    (index,) = Path(folder).glob(".nv-meta/index.sqlite")
    with sqlite3.connect(index) as base:
        return {"all": [[key] for (key,) in base.execute("SELECT sample_key FROM samples")]}


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
