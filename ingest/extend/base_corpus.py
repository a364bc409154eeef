"""The corpus that a run extends: which generation, whether it may be extended, and where its numbers go on.

A run pins its base in the store, so that a resumed run goes on with it, and no other run can mix with it. Old shards are never
changed: the next generation has new shards after the old ones, in a new manifest.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.image_stacks import check_base
from tagmill.ingest.layout import CLOSING_MARKER, EXTEND_PIN
from tagmill.ingest.pack.shard_plan import Before
from tagmill.ingest.parts.run import images_left
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.input_table import num_inputs
from tagmill.shards.manifest import SPLITS, Corpus, Named, ShardEntry, put_manifest
from tagmill.shards.side_tables import FOLDERS, num_runs, of_later_runs
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import SIDES

_SHARD = re.compile(rf"shards/((?:holdout-)?[0-9]{{6,}})(?:{'|'.join(map(re.escape, SIDES))})")


@dataclass(frozen=True)
class Pin:
    """What a run extends, and the flags of partition and fetch."""

    manifest_sha256: str
    runs: int  # runs that made the corpus, hence the number of this one
    fields: dict[str, Any]  # `IngestConfig.deciding("fetch")`


@dataclass(frozen=True)
class Base:
    """The generation that a run extends."""

    corpus: Corpus

    @property
    def runs(self) -> int:
        """Returns how many runs made it."""
        return num_runs(self.corpus.file)

    @cached_property
    def num_files(self) -> int:
        """Returns the number of input files of all its runs: file ordinals go on after it."""
        return sum(num_inputs(run) or 0 for run in self.corpus.file.lineage)

    @property
    def before(self) -> Before:
        """Returns what the numbers of runs and shards go on after."""
        return Before(self.runs, *(self._next(split) for split in SPLITS))

    def _next(self, split: str) -> int:
        numbers = self.corpus.shards_of(split)
        return int(self.corpus.entry(numbers[-1]).name.rpartition("-")[2]) + 1 if numbers else 0

    def put_manifest(self, entries: Iterable[ShardEntry], note: Callable[[str], None]) -> Named:
        """Puts the manifest of the next generation: old train shards, new ones, old held-out shards, new ones.

        Old lines do not change: what was purged since is in the takedown list. `note` is called with the name before it is
        written.
        """
        shards = [*self.corpus.written_entries, *entries]
        ordered = [each for split in SPLITS for each in shards if each.split == split]
        return put_manifest(self.corpus.store, ordered, note)

    def is_below(self, now: Corpus) -> bool:
        """Whether `now` is still this generation; it may have new views and takedowns."""
        return now.file.manifest == self.corpus.file.manifest and now.file.lineage == self.corpus.file.lineage


def begin(config: IngestConfig, store: Store) -> Base:
    """Returns the generation that a run extends, and pins it until the run is committed.

    Raises ConfigError where the run would make images of another kind, or is not the one that was started here;
    CorpusError where there is no corpus, or it cannot be extended. Nothing is written then.
    """
    base = Base(_there(config, store))
    _check_agreement(config, base.corpus)
    mine = Pin(base.corpus.file.manifest.sha256, base.runs, config.deciding("fetch"))
    if not store.exists(EXTEND_PIN):
        _clear_earlier_runs(store, base)
        store.put_new(EXTEND_PIN, json.dumps(asdict(mine)).encode())
    if wrong := _why_not(config, _pinned(store), mine):
        remedy = f"give the flags of that run, or remove {store.url.rstrip('/')}/parts to give it up"
        raise ConfigError(wrong, store.url, remedy)
    return base


def _why_not(config: IngestConfig, pinned: Pin | None, mine: Pin) -> str | None:
    """Returns why this run cannot go on with what is pinned; None where it can."""
    if pinned is None:
        return "another run is cleaning up after its commit"
    if (pinned.manifest_sha256, pinned.runs) != (mine.manifest_sha256, mine.runs):
        return "another list was added here, and its folder parts was kept"
    differ = config.differences(pinned.fields, "fetch")
    return f"another list is being added here: {'; '.join(differ)}" if differ else None


def is_done(config: IngestConfig, store: Store) -> bool:
    """Whether this run was committed already, and maybe killed while it cleaned up."""
    lineage = _there(config, store).file.lineage
    if pinned := _pinned(store):
        return len(lineage) > pinned.runs and lineage[pinned.runs]["config_sha256"] == config.digest()
    return bool(lineage) and _read_closing(store) == closing_mark(config, len(lineage))


def closing_mark(config: IngestConfig, runs: int) -> dict[str, Any]:
    """Returns the content of CLOSING_MARKER for run number `runs`."""
    return {"config_sha256": config.digest(), **({"runs": runs} if runs > 1 else {})}


def clear(store: Store) -> None:
    """Deletes the parts of a committed corpus, CLOSING_MARKER last; does nothing where there is no marker.

    A process that is killed here leaves the marker, so that the next run goes on, or at most an empty folder.
    """
    if store.exists(CLOSING_MARKER):
        store.delete_below("parts", last=CLOSING_MARKER)


def _there(config: IngestConfig, store: Store) -> Corpus:
    if not store.exists("corpus.json"):
        raise ConfigError("there is no corpus to extend", config.output, "make it first, without --extend")
    return Corpus.open(store.url)


def _pinned(store: Store) -> Pin | None:
    try:
        fields = json.loads(store.read(EXTEND_PIN))
    except FileNotFoundError:
        return None
    if "fields" not in fields:
        remedy = f"go on with that version, or remove {store.url.rstrip('/')}/parts to give its run up"
        raise ConfigError("an earlier version of tagmill is adding a list here", store.url, remedy)
    return Pin(**fields)


def _read_closing(store: Store) -> Any:
    return json.loads(store.read(CLOSING_MARKER)) if store.exists(CLOSING_MARKER) else None


def _check_agreement(config: IngestConfig, corpus: Corpus) -> None:
    """Raises an error where the run would make images of another kind than the corpus has."""
    file, where = corpus.file, corpus.store.url
    if not file.lineage or any(num_inputs(run) is None for run in file.lineage):
        raise CorpusError("the corpus does not list its inputs", where, "extend a corpus that ingest made")
    none = {"restart_interval": 0}  # what a policy without the key means
    mine, theirs = (
        none | config.image_policy() | {"seed": config.seed},
        none | file.image_policy | {"seed": file.seed},
    )
    if differ := sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)):
        differences = ", ".join(f"{name} {theirs.get(name)!r} there and {mine.get(name)!r} here" for name in differ)
        raise ConfigError(
            f"images of another kind: {differences}", where, "give the flags that the corpus was made with"
        )
    if not corpus.store.exists(EXTEND_PIN) or images_left(corpus.store):
        check_base(config, file, where)


def _clear_earlier_runs(store: Store, base: Base) -> None:
    """Deletes what finished or given-up runs left, before the first write of a run.

    Raises an error where another run's parts are there.
    """
    unfinished = base.corpus.takedown.unfinished
    if unfinished:
        what = f"samples are being removed from {len(unfinished)} shards"
        raise CorpusError(what, store.url, "run tagmill corpus takedown --purge again")
    finished = _read_closing(store)
    if finished and finished.get("runs", 1) <= base.runs:
        clear(store)
    if store.names("parts"):
        remedy = f"remove or move {store.url.rstrip('/')}/parts"
        raise ConfigError("there are parts of an earlier run", store.url, remedy)
    remove_packed(store, base)


def remove_packed(store: Store, base: Base | None) -> None:
    """Deletes shards, rejects and ledgers that are not in the corpus: of this run, or of a run that was given up.

    Deletes only files with names that ingest gives.
    """
    in_corpus = set(base.corpus.table["name"].to_pylist()) if base else set()
    shards = ((name, _SHARD.fullmatch(name)) for name in store.names("shards"))
    left = [name for name, match in shards if match and match[1] not in in_corpus]
    for folder in FOLDERS:
        left += of_later_runs(store.names(folder), base.runs if base else 0)
    store.delete_many(left)


def extended(base: Base, now: Corpus, manifest: Named, totals: dict[str, int], run: dict[str, Any]) -> Corpus:
    """Returns the next generation of the corpus `now`, uncommitted: everything except its views."""
    sums = {name: now.file.totals.get(name, 0) + count for name, count in totals.items()}
    lineage = [*base.corpus.file.lineage, run]
    return Corpus(now.store, replace(now.file, manifest=manifest, totals={**now.file.totals, **sums}, lineage=lineage))
