"""The selection decides what becomes of every row: a sample of train or holdout, or a reject with its reason."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.dedup.decontamination import LEAKS_FILE
from tagmill.ingest.dedup.group_selection import DROPPED, GroupTask, counts_of, select_group
from tagmill.ingest.dedup.resolve import SetCounts, SetRules, resolve_drops
from tagmill.ingest.dedup.set_stages import SetStages
from tagmill.ingest.engines.engine import Engine, Parquet, TableSource
from tagmill.ingest.layout import SELECTING_PIN, SELECTION_FOLDER, SELECTION_MARKER, SETS_FOLDER, selection_file
from tagmill.shards.errors import ConfigError
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store

DIVISION_ROWS = 4_000_000  # rows whose decisions are one object, about


@dataclass(frozen=True)
class Selected:
    """How many rows became what; also the content of SELECTION_MARKER."""

    rows: int
    splits: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    counts: SetCounts = field(default_factory=SetCounts)
    stamp: str = ""  # digest of everything that the selection depends on

    @classmethod
    def parse(cls, data: bytes) -> Self:
        fields = json.loads(data)
        return cls(**{**fields, "counts": SetCounts.of(fields["counts"])})


@dataclass(frozen=True)
class Divisions:
    """How parts are divided: into pack groups, and whole groups into divisions of about DIVISION_ROWS rows."""

    rows: int
    num_parts: int
    parts_per_group: int

    @property
    def num_groups(self) -> int:
        """Each group has consecutive parts, the last may have fewer."""
        return -(-self.num_parts // self.parts_per_group)

    @property
    def division(self) -> int:
        """Parts of a division."""
        return max(1, self.num_groups * DIVISION_ROWS // max(self.rows, 1)) * self.parts_per_group

    def parts(self, group: int) -> tuple[int, int]:
        """Returns the first part of a group and the one after its last."""
        first = group * self.parts_per_group
        return first, min(first + self.parts_per_group, self.num_parts)


def select(
    engine: Engine,
    store: Store,
    facts: pa.Table | Parquet,
    *,
    rows: int,
    num_parts: int,
    parts_per_group: int,
    holdout: int,
    spool: Path,
    rules: SetRules | None = None,
    existing: "Callable[[], TableSource | Path] | None" = None,
    leaks: str = LEAKS_FILE,
    stamp: str = "",
    tagged: "TableSource | None" = None,
    progress: Progress | None = None,
) -> Selected:
    """Decides what becomes of the `rows` rows of `facts`, and puts the selection into the store, a file for each pack
    group.

    Object i of `facts` has the rows of part i, in order of place. `existing` returns the samples of the extended corpus
    (schema EXISTING): they outrank all rows and are never dropped. Pairs with evaluation sets are put as `leaks`;
    `tagged` has the tags of the rows. `stamp` is a digest of everything that the selection depends on: what was selected
    under the same stamp is kept, so a killed selection goes on after its last complete stage or group; what is there of
    another is deleted first, its pin before the rest. Raises ConfigError where all images would be held out.
    """
    progress = Silent() if progress is None else progress
    if store.exists(SELECTION_MARKER):
        before = Selected.parse(store.read(SELECTION_MARKER))
        if before.stamp == stamp:
            _end(store)
            return before
    resumes = _begin(store, stamp, leaks)
    rules, plan = SetRules() if rules is None else rules, Divisions(rows, num_parts, parts_per_group)
    stages = SetStages(engine, store, spool / "sets", stamp, progress)
    found = resolve_drops(stages, facts, rules, rows=rows, existing=existing, tagged=tagged, leaks=leaks)
    numbers = _decide(stages, plan, holdout)
    tasks = list(_tasks(stages, plan, facts, numbers, resumes=resumes))
    stages.begin("groups", rows)
    report = lambda counts: progress.advance(sum(counts.values()), **counts)  # noqa: E731
    made = engine.each(select_group, tasks, report, f"the selection of {store.url}")
    splits, reasons = Counter({"train": 0, "holdout": 0}), Counter[str]()
    for result in made:
        for counts, more in zip((splits, reasons), counts_of(result), strict=True):
            counts.update(more)
    if holdout and splits["holdout"] and not splits["train"] and existing is None:
        what = f"holdout {holdout} takes all {splits['holdout']} images"
        raise ConfigError(what, "--holdout", "hold out fewer: nothing is fetched again for it")
    selected = Selected(splits.total() + reasons.total(), dict(splits), dict(sorted(reasons.items())), found, stamp)
    store.put(SELECTION_MARKER, json.dumps(asdict(selected)).encode())
    _end(store)
    return selected


def _begin(store: Store, stamp: str, leaks: str) -> bool:
    """Pins the stamp; returns whether it was pinned already. Deletes what another stamp left."""
    try:
        if store.read(SELECTING_PIN).decode() == stamp:
            return True
    except FileNotFoundError:
        pass
    for name in (SELECTING_PIN, SELECTION_MARKER):
        store.delete(name)
    for folder in (SELECTION_FOLDER, SETS_FOLDER):
        store.delete_below(folder)
    store.delete(leaks)
    store.put(SELECTING_PIN, stamp.encode())
    return False


def _end(store: Store) -> None:
    """Deletes what only the stages needed; the pin first, without which the rest does not count."""
    store.delete(SELECTING_PIN)
    store.delete_below(SETS_FOLDER)


def _decide(stages: SetStages, plan: Divisions, holdout: int) -> list[int]:
    """Leaves what was decided about rows, in divisions; returns the numbers of those that have any."""

    def make() -> dict[str, list[int]]:
        stages.engine.keep("dropped", "dropped")
        stages.engine.keep("heldout", "split", holdout=holdout)
        return {"divisions": stages.save_divided("decided", DROPPED, plan.division)}

    return list(stages.run("drops", {}, make)["divisions"])


def _tasks(
    stages: SetStages, plan: Divisions, facts: pa.Table | Parquet, numbers: list[int], *, resumes: bool
) -> Iterator[GroupTask]:
    store, engine = stages.store, stages.engine
    there = set(store.names(SELECTION_FOLDER)) if resumes else set()
    decided = engine.readable(stages.left("drops", "decided", DROPPED))
    if isinstance(facts, Parquet):
        assert len(facts.names) == plan.num_parts, "an object for each part"
        facts = engine.readable(facts)
    at = {number: place for place, number in enumerate(numbers)}
    for group in range(plan.num_groups):
        first, last = plan.parts(group)
        place = at.get(first // plan.division)
        yield GroupTask(
            store=store,
            group=group,
            first=first,
            last=last,
            facts=facts.slice(first, last) if isinstance(facts, Parquet) else _of_parts(facts, first, last),
            decided=decided.slice(0, 0) if place is None else decided.slice(place, place + 1),
            stamp=stages.stamp,
            there=selection_file(group) in there,
        )


def _of_parts(facts: pa.Table, first: int, last: int) -> pa.Table:
    return facts.filter(pc.and_(pc.greater_equal(facts["part"], first), pc.less(facts["part"], last)))
