"""Adding a list to a corpus that is there: which generation a run extends, whether it may, and what it goes on after.

A run pins its generation in the store, so that a killed one goes on with it and no other run mixes with it. Old shards are
never touched: the next generation is new shards behind the old ones in a new manifest.
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
from tagmill.ingest.parts.run import pictures_left
from tagmill.shards.errors import ConfigError, CorpusError
from tagmill.shards.manifest import SPLITS, Corpus, Named, ShardEntry, put_manifest
from tagmill.shards.side_tables import FOLDERS, num_runs, of_later_runs
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import SIDES

_SHARD = re.compile(rf"shards/((?:holdout-)?[0-9]{{6,}})(?:{'|'.join(map(re.escape, SIDES))})")


@dataclass(frozen=True)
class Pin:
    """What a run extends, and by which flags it deals and fetches."""

    manifest_sha256: str
    runs: int  # that made the corpus; so the number of this one
    fields: dict[str, Any]  # `IngestConfig.deciding("fetch")`


@dataclass(frozen=True)
class Base:
    """The generation that a run extends."""

    corpus: Corpus

    @property
    def runs(self) -> int:
        """How many runs made it."""
        return num_runs(self.corpus.file)

    @cached_property
    def num_files(self) -> int:
        """The input files of all its runs, after which file ordinals go on."""
        return sum(len(run["inputs"]) for run in self.corpus.file.lineage)

    @property
    def before(self) -> Before:
        """Where the numbers of shards go on."""
        return Before(self.runs, *(self._next(split) for split in SPLITS))

    def _next(self, split: str) -> int:
        numbers = self.corpus.shards_of(split)
        return int(self.corpus.entry(numbers[-1]).name.rpartition("-")[2]) + 1 if numbers else 0

    def put_manifest(self, entries: Iterable[ShardEntry], note: Callable[[str], None]) -> Named:
        """The next generation's manifest: old train shards, new ones, old held-out shards, new ones. Old lines are as they
        were written; what was purged since stands in the takedown list. `note` gets its name before it is written."""
        shards = [*self.corpus.written_entries, *entries]
        ordered = [each for split in SPLITS for each in shards if each.split == split]
        return put_manifest(self.corpus.store, ordered, note)

    def is_below(self, now: Corpus) -> bool:
        """Whether `now` is this generation still, whatever views and takedowns it has got."""
        return now.file.manifest == self.corpus.file.manifest and now.file.lineage == self.corpus.file.lineage


def begin(config: IngestConfig, store: Store) -> Base:
    """The generation that a run of `config` extends: that of the corpus, which stays pinned until the run is committed.

    Raises ConfigError where the run would make other pictures, or is not the one that was begun here; CorpusError where there
    is no corpus, or it is not fit to be extended. Nothing is written then.
    """
    base = Base(_there(config, store))
    _check_agreement(config, base.corpus)
    mine = Pin(base.corpus.file.manifest.sha256, base.runs, config.deciding("fetch"))
    if not store.exists(EXTEND_PIN):
        _make_room(store, base)
        store.put_new(EXTEND_PIN, json.dumps(asdict(mine)).encode())
    if wrong := _mixes(config, _pinned(store), mine):
        remedy = f"give the flags of that run, or remove {store.url.rstrip('/')}/parts if it was given up"
        raise ConfigError(wrong, store.url, remedy)
    return base


def _mixes(config: IngestConfig, pinned: Pin | None, mine: Pin) -> str | None:
    """Why this run cannot go on with what another one has begun."""
    if pinned is None:
        return "the corpus is being cleared up"
    if (pinned.manifest_sha256, pinned.runs) != (mine.manifest_sha256, mine.runs):
        return "another list was added here, and its parts are kept"
    differ = config.differences(pinned.fields, "fetch")
    return f"another list is being added here: {'; '.join(differ)}" if differ else None


def is_done(config: IngestConfig, store: Store) -> bool:
    """Whether this very run has been committed, and maybe was killed while it cleared up."""
    lineage = _there(config, store).file.lineage
    if pinned := _pinned(store):
        return len(lineage) > pinned.runs and lineage[pinned.runs]["config_sha256"] == config.digest()
    return bool(lineage) and _closing(store) == closing(config, len(lineage))


def closing(config: IngestConfig, runs: int) -> dict[str, Any]:
    """The content of CLOSING_MARKER for the run that makes so many."""
    return {"config_sha256": config.digest(), **({"runs": runs} if runs > 1 else {})}


def clear(store: Store) -> None:
    """Removes the parts of a committed corpus, the mark that they may go last; does nothing where they are kept.

    So whoever is killed here leaves either the mark, and the next run goes on, or nothing but maybe an empty folder.
    """
    if store.exists(CLOSING_MARKER):
        store.delete_below("parts", last=CLOSING_MARKER)


def _there(config: IngestConfig, store: Store) -> Corpus:
    if not store.exists("corpus.json"):
        raise ConfigError("no corpus here that could be extended", config.output, "make it first, without --extend")
    return Corpus.open(store.url)


def _pinned(store: Store) -> Pin | None:
    try:
        told = json.loads(store.read(EXTEND_PIN))
    except FileNotFoundError:
        return None
    if "fields" not in told:
        remedy = f"go on with that version, or remove {store.url.rstrip('/')}/parts if it was given up"
        raise ConfigError("an earlier version of tagmill is adding a list here", store.url, remedy)
    return Pin(**told)


def _closing(store: Store) -> Any:
    return json.loads(store.read(CLOSING_MARKER)) if store.exists(CLOSING_MARKER) else None


def _check_agreement(config: IngestConfig, corpus: Corpus) -> None:
    """Refuses what would make a corpus of two kinds."""
    file, where = corpus.file, corpus.store.url
    if not file.lineage or any("inputs" not in run for run in file.lineage):
        raise CorpusError("a corpus that does not say what it was made from", where, "extend one that ingest made")
    mine, theirs = config.image_policy() | {"seed": config.seed}, file.image_policy | {"seed": file.seed}
    if differ := sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)):
        told = ", ".join(f"{name} {theirs.get(name)!r} there and {mine.get(name)!r} here" for name in differ)
        raise ConfigError(f"pictures of another kind: {told}", where, "give the flags that the corpus was made with")
    if not corpus.store.exists(EXTEND_PIN) or pictures_left(corpus.store):
        check_base(config, file, where)


def _make_room(store: Store, base: Base) -> None:
    """Before the first write of a run: no other run's parts, and nothing of runs that were given up."""
    unfinished = base.corpus.takedown.unfinished
    if unfinished:
        what = f"samples are being removed from {len(unfinished)} shards"
        raise CorpusError(what, store.url, "run tagmill corpus takedown --purge again")
    finished = _closing(store)
    if finished and finished.get("runs", 1) <= base.runs:
        clear(store)
    if store.names("parts"):
        remedy = f"remove or move {store.url.rstrip('/')}/parts"
        raise ConfigError("parts of an earlier run are here", store.url, remedy)
    remove_packed(store, base)


def remove_packed(store: Store, base: Base | None) -> None:
    """Removes the shards, rejects and ledgers that no corpus has: those of a run, or of one that was given up. Nothing but
    what is named as ours are."""
    known = set(base.corpus.table["name"].to_pylist()) if base else set()
    left = [name for name in store.names("shards") if (match := _SHARD.fullmatch(name)) and match[1] not in known]
    for folder in FOLDERS:
        left += of_later_runs(store.names(folder), base.runs if base else 0)
    for name in left:
        store.delete(name)


def extended(base: Base, now: Corpus, manifest: Named, totals: dict[str, int], run: dict[str, Any]) -> Corpus:
    """The next generation, not yet committed, over what the corpus is now: everything but its views."""
    sums = {name: now.file.totals.get(name, 0) + count for name, count in totals.items()}
    lineage = [*base.corpus.file.lineage, run]
    return Corpus(now.store, replace(now.file, manifest=manifest, totals={**now.file.totals, **sums}, lineage=lineage))
