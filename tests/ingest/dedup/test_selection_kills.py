"""A selection that is killed between any two changes of the store goes on after its last complete stage, and ends with
the same bytes."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.dedup.near_duplicates import NearRules
from tagmill.ingest.dedup.resolve import SetRules
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.ingest.engines.engine import Parquet
from tagmill.ingest.layout import SELECTING_PIN, SELECTION_MARKER, sets_file, sets_marker
from tagmill.shards.storage.store import Store
from tests.ingest.dedup.factfiles import in_parts, put_facts, selection_of
from tests.ingest.dedup.test_resolve import existing_of, sets_of, world
from tests.shards.progress.recorded import Recorded

NUM_PARTS = 8
STAGES = ["exact", "evaluation", "near", "yields", "drops"]


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_after(last: int | str) -> Iterator[list[str]]:
    """The store makes so many changes, or those up to the object `last`, and yields their names; the next one kills."""
    made: list[str] = []

    def is_over() -> bool:
        return last in made if isinstance(last, str) else len(made) >= last

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Store, name: str, *given: Any, **named: Any) -> Any:
            if is_over():
                raise Killed(name)
            made.append(name)
            return change(self, name, *given, **named)

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "delete"):
            patch.setattr(Store, name, counted(getattr(Store, name)))
        yield made


class World:
    """Facts in a store, the rules, and what a selection that nobody kills leaves."""

    def __init__(self, folder: Path) -> None:
        self.rows, self.existing, evaluation = world(5)
        self.folder, self.lines = folder, in_parts(self.rows, NUM_PARTS)
        near = NearRules(bits=0, tables=1, bucket=1000)  # every pair is found
        self.rules = SetRules(placeholder_urls=3, near=near, evaluation=sets_of(evaluation), threads=2)
        self.number = 0
        self.expected = self.select(*self.place())

    def place(self, before: Store | None = None) -> tuple[Store, Parquet]:
        """A new store with the facts, and with what another has."""
        self.number += 1
        store = Store(str(self.folder / f"store-{self.number}"))
        if before is not None:
            shutil.copytree(before.url, store.url)
        return store, put_facts(store, self.lines, NUM_PARTS)

    def select(self, store: Store, facts: Parquet, stamp: str = "s", **more: Any) -> dict[str, bytes]:
        engine = DuckDB(self.folder / "engine", memory_limit="200MB", threads=2)
        more = {"holdout": 4, "existing": lambda: existing_of(self.existing), **more}
        try:
            return selection_of(
                engine, store, facts, spool=self.folder / "spool", rules=self.rules, stamp=stamp, **more
            )
        finally:
            engine.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "spool").mkdir()
    return World(folder)


def test_every_outcome_is_there(made: World) -> None:
    """Else the killed ones would prove little."""
    text = made.expected[SELECTION_MARKER].decode()
    outcomes = ("duplicate", "near_duplicate", "placeholder", "evaluation", "holdout", "train")
    assert all(f'"{name}": ' in text for name in outcomes)
    assert len(made.expected) == 1 + 1 + NUM_PARTS // 2  # the marker, the matches, the groups


def moments(made: list[str]) -> list[int]:
    """After how many of these changes to kill: after each, but once alone among changes of one kind, which are the puts of the
    groups and the deletes at the end. With TAGMILL_WHOLE after each of those too."""
    end = len(made) - made[::-1].index(SELECTION_MARKER)

    def kind(place: int) -> str:
        return "deleted" if place > end else re.sub(r"selection/[0-9]+", "group", made[place])

    kinds = [kind(place) for place in range(len(made))]
    every = bool(os.environ.get("TAGMILL_WHOLE"))
    return [n for n in range(len(made)) if every or n < 2 or not kinds[n - 2] == kinds[n - 1] == kinds[n]]


@pytest.mark.slow
def test_a_killed_selection_ends_with_the_same_bytes(made: World) -> None:
    store, facts = made.place()
    with killed_after(1 << 30) as every:
        made.select(store, facts)
    assert made.select(store, facts) == made.expected, "complete"
    assert len(every) > 25 and len(moments(every)) > 20
    for changes in moments(every):
        store, facts = made.place()
        with killed_after(changes), pytest.raises(Killed):
            made.select(store, facts)
        assert made.select(store, facts) == made.expected, f"killed after {changes} changes"


@pytest.mark.slow
def test_a_killed_selection_of_another_stamp_does_no_harm(made: World) -> None:
    """Killed while it deletes what another left, and then the other comes back or not."""
    before, facts = made.place()
    first = made.select(before, facts, "one", holdout=2)
    for changes in range(0, 60, 7):
        store, facts = made.place(before)
        with killed_after(changes), suppress(Killed):
            made.select(store, facts)
        wanted = first if changes % 2 else made.expected
        again = made.select(store, facts, "one", holdout=2) if changes % 2 else made.select(store, facts)
        assert again == wanted, f"killed after {changes} changes"


def test_complete_stages_and_groups_are_not_made_again(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    for name in ("keep", "run", "save", "save_divided"):
        known = getattr(DuckDB, name)

        def noted(self: DuckDB, *given: Any, _known: Any = known, _at: int = name == "keep", **named: Any) -> Any:
            ran.append(given[_at])
            return _known(self, *given, **named)

        monkeypatch.setattr(DuckDB, name, noted)
    needed = {
        "exact": {"repeated", "exact", "known", "copies", "early"},
        "evaluation": {"evaluation_keys"},
        "near": set[str](),
        "yields": {"ranks", "heads", "ordered", "near"},
        "drops": {"dropped", "split", "decided"},
    }
    for place, last in enumerate(STAGES):
        store, facts = made.place()
        with killed_after(sets_marker(last)), pytest.raises(Killed):
            made.select(store, facts)
        ran.clear()
        assert made.select(store, facts) == made.expected
        for stage, statements in needed.items():
            assert bool(statements & set(ran)) == (bool(statements) and STAGES.index(stage) > place), (last, stage)
        assert ("survivors" in ran) == (place < STAGES.index("near"))


def test_groups_that_are_there_are_kept(made: World) -> None:
    store, facts = made.place()
    with killed_after(1 << 30) as changes:
        made.select(store, facts)
    first = min(
        place for place, name in enumerate(changes) if name in made.expected and name.endswith("000001.parquet")
    )
    store, facts = made.place()
    with killed_after(first + 1), pytest.raises(Killed):
        made.select(store, facts)
    there = set(store.names("parts/selection"))
    assert there and SELECTION_MARKER not in there
    with killed_after(1 << 30) as changes:
        assert made.select(store, facts) == made.expected
    assert not there & set(changes)


def test_nothing_is_left_but_the_selection(made: World) -> None:
    store, facts = made.place()
    with killed_after(1 << 30) as changes:
        made.select(store, facts)
    assert {SELECTING_PIN, sets_file("copies", 0), sets_file("edges", 0), sets_file("decided", 0)} <= set(changes)
    assert store.names("parts/sets") == []


def test_stages_are_shown_with_their_rows(made: World) -> None:
    store, facts = made.place()
    progress = Recorded()
    made.select(store, facts, progress=progress)
    names = ["exact", "hashes", "evaluation", "near", "equal hashes", "near", "yields", "drops", "groups"]
    assert [name.removeprefix("select: ") for name, _ in progress.stages] == names
    totals = dict(progress.stages)
    assert totals["select: groups"] == progress.done["select: groups"] == len(made.rows)
    assert totals["select: near"] == progress.done["select: near"] == 1  # LSH tables
    assert progress.outcomes["select: groups"]["ok"] > 0 < progress.outcomes["select: groups"]["near_duplicate"]
