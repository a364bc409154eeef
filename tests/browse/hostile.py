"""A corpus of one shard whose facts are what a test gives."""

import hashlib
import shutil
from pathlib import Path

from tagmill.shards.manifest import CorpusFile, commit, put_manifest
from tagmill.shards.storage.store import Store
from tagmill.shards.view import put_shard_labels, put_view, recipe_folder
from tagmill.shards.vocabulary import Vocabulary
from tagmill.shards.writer import publish
from tests.shards.corpora import VOCABULARY, Sample, labelling, sample, write_shard


def corpus_of(
    folder: Path,
    vocabulary: Vocabulary = VOCABULARY,
    name: str = "test",
    count: int = 3,
    jpeg: bytes | None = None,
    **facts: object,
) -> str:
    """Writes a corpus of `count` samples that have these facts, and returns its address; replaces one that is there."""
    shutil.rmtree(folder / "corpus", ignore_errors=True)
    store = Store(str(folder / "corpus"))
    made = [sample(number, **facts) for number in range(count)]
    entry = write_shard(folder / "spool", "000000", [Sample(each.record, jpeg or each.jpeg) for each in made])
    publish(store, folder / "spool", "000000")
    manifest = put_manifest(store, [entry])
    recipe = {"labels": hashlib.sha256(vocabulary.json()).hexdigest()}
    lines = [put_shard_labels(store, recipe_folder("default", recipe), entry, *labelling(count))]
    view = put_view(store, "default", recipe, manifest, vocabulary, lines, max_labels=2, seed=0)
    commit(store, CorpusFile(name, manifest, {"samples": count}, {"default": view}))
    return store.url
