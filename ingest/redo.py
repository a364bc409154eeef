"""Deletes what the later stages of a run left under other flags, before they are done again.

Each stage has a stamp: a digest of the flags up to it, and of what the stages before it left. A marker has the stamp
under which the stage was done, and is deleted first, so that a process that is killed leaves nothing that counts as
done.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from importlib.metadata import version

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import EvaluationSets
from tagmill.ingest.extend.base_corpus import Base, remove_packed
from tagmill.ingest.layout import LABELLING_FILE, PACKED_FOLDER, PACKING_PIN
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.parts.make import PartSummary
from tagmill.shards.input_table import input_table
from tagmill.shards.manifest import CORPUS, Corpus
from tagmill.shards.storage.store import Store


def select_stamp(config: IngestConfig, evaluation: EvaluationSets, parts: Iterable[PartSummary]) -> str:
    """Returns the stamp of a selection. It has the version of the code, because parts may be of an earlier version."""
    sets = [evaluation.digest, sorted(evaluation.broken.items())] if config.evaluation_set else []
    return _digest(version("tagmill"), config.digest("select"), sets, [part.attempt for part in parts])


def pack_stamp(config: IngestConfig, selected: str) -> str:
    """Returns the stamp of what is packed from the selection with the stamp `selected`."""
    return _digest(selected, config.digest("pack"))


def _digest(*of: object) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()


def begin_packing(store: Store, stamp: str, base: Base | None) -> None:
    """Pins the stamp of what is packed.

    Where another stamp or none is pinned, deletes what was packed: the pin, then the groups' markers, then shards, rejects and
    ledger.
    """
    if read_if_there(store, PACKING_PIN) == stamp.encode():
        return
    store.delete(PACKING_PIN)
    store.delete_below(PACKED_FOLDER)
    remove_packed(store, base)
    store.put(PACKING_PIN, stamp.encode())


def begin_labelling(store: Store) -> Callable[[str], None]:
    """Deletes manifests and views that an earlier start of this run wrote and no corpus names: labels are always made again.

    Returns a function to call with the name of each file or folder before it is written.
    """
    written = _written(store)
    named = _named(store) if written else set()
    for name in written:
        if name not in named:
            (store.delete if name.endswith(".parquet") else store.delete_below)(name)
    store.delete(LABELLING_FILE)

    def note(name: str) -> None:
        written = _written(store)
        if name not in written and not (store.exists(name) or store.exists(f"{name}/view.json")):
            store.put(LABELLING_FILE, json.dumps([*written, name]).encode())

    return note


def _written(store: Store) -> list[str]:
    return list(json.loads(read_if_there(store, LABELLING_FILE) or b"[]"))


def _named(store: Store) -> set[str]:
    """Returns what the committed corpus names: an extension without new samples may have written the same."""
    if not store.exists(CORPUS):
        return set()
    file = Corpus.open(store.url).file
    views = {view.path.rpartition("/")[0] for view in file.views.values()}
    tables = [file.manifest, file.takedown, *map(input_table, file.lineage)]
    return {*views, *(table.path for table in tables if table is not None)}
