"""All of the set work against a reference in Python that compares everything with everything, whatever the order of rows."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.dedup.decontamination import ENTRIES, LEAKS_FILE, MATCHES, EvaluationSets
from tagmill.ingest.dedup.near_duplicates import NearRules
from tagmill.ingest.dedup.resolve import EXISTING, SetCounts, SetRules, resolve_drops
from tagmill.ingest.dedup.set_stages import SetStages
from tagmill.ingest.engines.duckdb import DuckDB
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.store import Store
from tests.ingest.dedup.factfiles import FACTS
from tests.ingest.pictures_apart import away, random_hashes

# No bits: all meet in the one table, so that every pair within the threshold is found.
EVERY_PAIR = NearRules(bits=0, tables=1, bucket=1000)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    engine = DuckDB(tmp_path_factory.mktemp("scratch") / "engine", memory_limit="200MB", threads=2)
    yield engine
    engine.close()


def signed(pdq: Any) -> list[int]:
    return [int(word) for word in np.asarray(pdq).view(np.int64)]


def picture(draw: np.random.Generator, pdq: Any) -> dict[str, Any]:
    return {"key": draw.bytes(16).hex(), "pdq": signed(pdq), "pixels": int(draw.integers(1, 4)), "quality": 90}


def world(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[list[int]]]:
    """(rows, rows of an existing corpus, hashes of an evaluation set): families of near pictures, with exact copies."""
    draw = np.random.default_rng(seed)
    pictures = []
    for pdq in random_hashes(draw, 6):
        pictures += [picture(draw, away(draw, pdq, int(draw.integers(0, 30)))) for _ in range(5)]
    for number in range(0, 30, 7):
        pictures[number]["quality"] = 30
    rows = [dict(pictures[int(draw.integers(0, 20))]) for _ in range(40)]
    for number, row in enumerate(rows):
        row |= {"row_id": int(draw.integers(1 << 20)) * 64 + number, "url": f"u{draw.integers(0, 30)}"}
    existing = [dict(pictures[int(draw.integers(15, 25))]) for _ in range(5)]
    existing = list({row["key"]: row for row in existing}.values())
    for number, row in enumerate(existing):
        row["row_id"] = (1 << 50) + number
    evaluation = [signed(away(draw, np.array(pictures[n]["pdq"]).view(np.uint64), 20)) for n in (2, 19)]
    return rows, existing, evaluation


def distance(a: list[int], b: list[int]) -> int:
    return sum(
        (x ^ y).bit_count() if x ^ y >= 0 else ((x ^ y) & (1 << 64) - 1).bit_count() for x, y in zip(a, b, strict=True)
    )


def reference(
    rows: list[dict[str, Any]], existing: list[dict[str, Any]], evaluation: list[list[int]], rules: SetRules
) -> dict[int, tuple[str, str | None]]:
    """(reason, key that it yields to) of every row that is dropped."""
    keeper: dict[str, dict[str, Any]] = {}
    urls: dict[str, set[str]] = {}
    for row in sorted(rows, key=lambda row: (-row["pixels"], row["row_id"])):
        keeper.setdefault(row["key"], row)
        urls.setdefault(row["key"], set()).add(row["url"])
    fates: dict[str, tuple[str, str | None]] = {}
    for key in keeper:
        if key in {row["key"] for row in existing}:
            fates[key] = ("duplicate", key)
        elif rules.placeholder_urls and len(urls[key]) >= rules.placeholder_urls:
            fates[key] = ("placeholder", None)
        elif any(distance(keeper[key]["pdq"], listed) <= rules.evaluation.threshold for listed in evaluation):
            fates[key] = ("evaluation", None)
    kept = sorted(existing, key=lambda row: (-row["pixels"], row["key"], row["row_id"]))
    assert rules.near is not None
    for row in sorted(keeper.values(), key=lambda row: (-row["pixels"], row["key"], row["row_id"])):
        if row["key"] in fates:
            continue
        good = [other for other in kept if min(row["quality"], other["quality"]) >= rules.near.quality]
        near = [other for other in good if distance(row["pdq"], other["pdq"]) <= rules.near.threshold]
        if near:
            fates[row["key"]] = ("near_duplicate", near[0]["key"])
        else:
            kept.append(row)
    dropped = {}
    for row in rows:
        if row["key"] in fates:
            dropped[row["row_id"]] = fates[row["key"]]
        elif keeper[row["key"]] is not row:
            dropped[row["row_id"]] = ("duplicate", row["key"])
    return dropped


def facts_of(rows: list[dict[str, Any]]) -> pa.Table:
    lines = []
    for place, row in enumerate(rows):
        words = {f"pdq{word}": value for word, value in enumerate(row["pdq"])}
        order = int(row["key"][:8], 16)
        sizes = {"original_width": row["pixels"], "original_height": 1, "pdq_quality": row["quality"]}
        lines.append({**row, **words, **sizes, "part": 0, "place": place, "sample_bytes": 512, "holdout_order": order})
    return pa.Table.from_pylist(lines, FACTS)


def existing_of(rows: list[dict[str, Any]]) -> pa.Table:
    lines = [{**row, **{f"pdq{w}": v for w, v in enumerate(row["pdq"])}, "pdq_quality": row["quality"]} for row in rows]
    return pa.Table.from_pylist(lines, EXISTING)


def sets_of(hashes: list[list[int]]) -> EvaluationSets:
    lines = [
        {"set": "val", "name": str(number), **{f"pdq{w}": v for w, v in enumerate(pdq)}}
        for number, pdq in enumerate(hashes)
    ]
    return EvaluationSets(pa.Table.from_pylist(lines, ENTRIES))


def dropped_by(
    engine: DuckDB, facts: pa.Table, rules: SetRules, existing: pa.Table | None = None
) -> tuple[dict[int, tuple[str, str | None]], SetCounts, pa.Table]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"{folder}/store")
        stages = SetStages(engine, store, Path(folder, "spool"))
        old = None if existing is None else lambda: existing
        counts = resolve_drops(stages, facts, rules, rows=len(facts), existing=old)
        lines = engine.run("dropped").read_all().to_pylist()
        leaks = pq.read_table(Path(folder, "store", LEAKS_FILE)) if rules.evaluation else MATCHES.empty_table()
    assert len({line["row_id"] for line in lines}) == len(lines)
    return {line["row_id"]: (line["reason"], line["yields_to"]) for line in lines}, counts, leaks


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 1 << 30), threshold=st.integers(0, 45), urls=st.sampled_from([0, 2, 3, 4]), extend=st.booleans()
)
def test_every_row_has_the_fate_of_the_reference(
    engine: DuckDB, seed: int, threshold: int, urls: int, extend: bool
) -> None:
    rows, existing, evaluation = world(seed)
    existing = existing if extend else []
    rules = SetRules(
        placeholder_urls=urls, near=replace(EVERY_PAIR, threshold=threshold), evaluation=sets_of(evaluation), threads=2
    )
    expected = reference(rows, existing, evaluation, rules)
    old = existing_of(existing) if extend else None
    found, counts, _ = dropped_by(engine, facts_of(rows), rules, old)
    assert found == expected
    order = np.random.default_rng(seed).permutation(len(rows))
    again, counts_again, _ = dropped_by(engine, facts_of([rows[place] for place in order]), rules, old)
    assert (again, counts_again) == (found, counts)


@pytest.mark.parametrize("near", [None, NearRules()])
def test_empty_tables_and_rows_without_hashes(engine: DuckDB, near: NearRules | None) -> None:
    rules = SetRules(near=near)
    assert dropped_by(engine, FACTS.empty_table(), rules)[0] == {}
    rows, _, _ = world(1)
    facts = facts_of(rows[:2])
    nothing = pa.nulls(2, pa.int64())
    for name in ("pdq0", "pdq3"):
        facts = facts.set_column(facts.schema.get_field_index(name), name, nothing)
    found, counts, _ = dropped_by(engine, facts, rules)
    assert counts.compared == 0 and all(reason == "duplicate" for reason, _ in found.values())


def test_all_rows_identical(engine: DuckDB) -> None:
    rows, _, _ = world(2)
    same = [{**rows[0], "row_id": number, "url": "u"} for number in range(1000)]
    found, _, _ = dropped_by(engine, facts_of(same), SetRules(placeholder_urls=2))
    assert set(found.values()) == {("duplicate", rows[0]["key"])} and len(found) == 999 and 0 not in found
    other = [{**row, "url": f"u{row['row_id'] % 2}"} for row in same]
    found, counts, _ = dropped_by(engine, facts_of(other), SetRules(placeholder_urls=2))
    assert set(found.values()) == {("placeholder", None)} and len(found) == 1000 and counts.placeholders == 1


def test_marking_lists_and_keeps(engine: DuckDB) -> None:
    rows, _, evaluation = world(3)
    sets = replace(sets_of(evaluation), remove=False)
    found, counts, leaks = dropped_by(engine, facts_of(rows), SetRules(near=None, evaluation=sets))
    assert "evaluation" not in {reason for reason, _ in found.values()}
    near = {
        (str(number), row["key"], distance(pdq, row["pdq"]))
        for number, pdq in enumerate(evaluation)
        for row in rows
        if distance(pdq, row["pdq"]) <= 31
    }
    lines = leaks.to_pylist()
    assert {(line["evaluation_name"], line["key"], line["distance"]) for line in lines} == near and len(lines) == len(
        near
    )
    assert counts.evaluation["val"]["found"] == len({key for _, key, _ in near})
    assert counts.evaluation["val"]["met"] == len({name for name, _, _ in near})


def test_a_memory_limit_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    engine = DuckDB(tmp_path / "engine", memory_limit="1MB", threads=1)
    rows, _, _ = world(4)
    many = [{**rows[0], "row_id": number, "key": f"{number:032x}"} for number in range(30_000)]
    with pytest.raises(TagmillError, match="raise memory_limit") as raised:
        dropped_by(engine, facts_of(many), SetRules())
    assert "\n" not in str(raised.value)
    engine.close()
