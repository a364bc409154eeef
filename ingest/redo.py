"""What the later stages of a run left under other flags is removed before they are done again.

Each stage goes by a stamp: a digest of the flags up to it and of what the stages before it left. A marker holds the stamp
under which the rest was made, and goes first, so that a process that is killed leaves nothing that counts as done.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from importlib.metadata import version

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import EvaluationSets
from tagmill.ingest.extend.base_corpus import Base, remove_packed
from tagmill.ingest.layout import LABELLING_FILE, PACKED_FOLDER, PACKING_PIN
from tagmill.ingest.parts.make import PartSummary
from tagmill.shards.manifest import CORPUS, Corpus
from tagmill.shards.storage.store import Store


def select_stamp(config: IngestConfig, evaluation: EvaluationSets, parts: Iterable[PartSummary]) -> str:
    """Of a selection. The code's version is in it: pictures may have been made by an earlier one, and stay."""
    held = [evaluation.digest, sorted(evaluation.broken.items())] if config.evaluation_set else []
    return _digest(version("tagmill"), config.digest("select"), held, [part.attempt for part in parts])


def pack_stamp(config: IngestConfig, selected: str) -> str:
    """Of what is packed from a selection with that stamp."""
    return _digest(selected, config.digest("pack"))


def _digest(*of: object) -> str:
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()


def begin_packing(store: Store, stamp: str, base: Base | None) -> None:
    """Pins the stamp of what is packed. Under another one, or where none is pinned, what was packed is removed: the pin, then
    the groups' markers, then shards, rejects and ledger."""
    if store.exists(PACKING_PIN) and store.read(PACKING_PIN).decode() == stamp:
        return
    store.delete(PACKING_PIN)
    store.delete_below(PACKED_FOLDER)
    remove_packed(store, base)
    store.put(PACKING_PIN, stamp.encode())


def begin_labelling(store: Store) -> Callable[[str], None]:
    """Removes manifests and views that this run wrote before and no corpus names; labels are made again by every run that
    comes so far. Returns what must be told each name (of a folder, without what is in it) before it is written.
    """
    noted = _noted(store)
    named = _named(store) if noted else set()
    for name in noted:
        if name not in named:
            (store.delete if name.endswith(".parquet") else store.delete_below)(name)
    store.delete(LABELLING_FILE)

    def note(name: str) -> None:
        noted = _noted(store)
        if name not in noted and not (store.exists(name) or store.exists(f"{name}/view.json")):
            store.put(LABELLING_FILE, json.dumps([*noted, name]).encode())

    return note


def _noted(store: Store) -> list[str]:
    return list(json.loads(store.read(LABELLING_FILE))) if store.exists(LABELLING_FILE) else []


def _named(store: Store) -> set[str]:
    """What the corpus that is there names: after a run that adds nothing this may be what the run wrote."""
    if not store.exists(CORPUS):
        return set()
    file = Corpus.open(store.url).file
    views = {view.path.rpartition("/")[0] for view in file.views.values()}
    return {file.manifest.path, *views, *([file.takedown.path] if file.takedown else [])}
