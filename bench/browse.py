"""A corpus of many shards, looked into: the first page, the rarest label by the index, and `corpus info`.

usage: python bench/browse.py [--shards 350000] [--out FILE.json]

The corpus has a manifest and a view of that many shards, of which the first and the last one exist. Each figure is of a
process of its own, without the tables that an earlier one has decoded.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tagmill.browse.search import label_index
from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.shards.corpus_command import info
from tagmill.shards.formats.record import Record
from tagmill.shards.manifest import Corpus, CorpusFile, commit, put_manifest
from tagmill.shards.storage.store import Store
from tagmill.shards.view import ONE, put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.shards.writer import ShardWriter, publish

SAMPLES, LABELS, LISTED = 64, 20_000, 100
RARE = LABELS - 1  # in the last shard only
PATHS = {"first page": "/", "rarest label": f"/find?by=id&q={RARE}"}


def make(folder: Path, shards: int) -> None:
    """Writes the corpus, and a search index with LISTED shards a label."""
    store, recipe = Store(str(folder / "corpus")), {"bench": shards}
    names = [f"{number:06d}" for number in range(shards)]
    entries, lines = [], []
    for name in (names[0], names[-1]):
        with ShardWriter(name, "train", folder / "spool") as writer:
            for number in range(SAMPLES):
                record = Record(f"{name}{number:02x}".ljust(64, "0"), (0, 0, 0, 0), 8, 8, 8, 8, ("tag",))
                writer.add(record, b"\xff\xd8\xff" + bytes(500))
            entry = writer.finish()
        publish(store, folder / "spool", name)
        labels = np.full((SAMPLES, 4), -1, np.int32)
        labels[:, 0] = RARE if name == names[-1] else 0
        entries.append(entry)
        lines.append(put_shard_labels(store, recipe_folder("default", recipe), entry, labels, np.full(SAMPLES, ONE)))
    manifest = put_manifest(store, [*(replace(entries[0], name=name) for name in names[:-1]), entries[1]])
    view_lines = [*(replace(lines[0], name=name) for name in names[:-1]), lines[1]]
    vocabulary = Vocabulary(tuple(Label(each, f"label{each}", (f"n{each:08d}",), ()) for each in range(LABELS)))
    view = put_view(store, "default", recipe, manifest, vocabulary, view_lines, max_labels=4, seed=0)
    commit(store, CorpusFile("bench", manifest, {"samples": shards * SAMPLES}, {"default": view}))
    draw = np.random.default_rng(0)
    rows = np.ones((LABELS * LISTED, 3), np.int32)
    rows[:, 0] = np.repeat(np.arange(LABELS), LISTED)
    rows[:, 1] = np.sort(draw.integers(0, shards, (LABELS, LISTED)), axis=1).ravel()
    rows = np.concatenate([rows[rows[:, 0] != RARE], [[RARE, shards - 1, SAMPLES]]]).astype(np.int32)
    counts = np.bincount(rows[:, 0], minlength=LABELS)
    opened = CorpusWatch(store.url, None).now().view("default")
    label_index._put(opened, rows, counts.astype(np.int32), counts.astype(np.int64))


def measure(url: str, what: str) -> dict[str, float]:
    """Returns seconds and the largest memory of this process in MB, imports included in the memory alone."""
    from starlette.testclient import TestClient

    from tagmill.browse.server.app import make_app
    from tagmill.browse.server.site import Site

    began = time.perf_counter()
    if what == "info":
        info(Corpus.open(url))
    else:
        client = TestClient(make_app(Site(CorpusWatch(url, None)), 80), base_url="http://127.0.0.1")
        answer = client.get(PATHS[what])
        assert answer.status_code == 200 and (
            what != "rarest label" or answer.text.count('data-item href="/sample') == 48
        )
    seconds = time.perf_counter() - began
    # Not `ru_maxrss`, which begins with that of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"seconds": round(seconds, 3), "mb": round(int(status["VmHWM"].split()[0]) / 1024, 1)}


def main() -> None:
    """Makes the corpus, measures, and prints a line a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=350_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--measure", nargs=2, metavar=("URL", "WHAT"), help="measure one figure in this process")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.shards)
        for what in [*PATHS, "info"]:
            words = [sys.executable, __file__, "--measure", f"{folder}/corpus", what]
            found[what] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
            print(f"{what:15} {found[what]['seconds']:8.3f} s {found[what]['mb']:8.1f} MB")
    if given.out:
        given.out.write_text(json.dumps({"shards": given.shards, "figures": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
