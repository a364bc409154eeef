"""Pairs of near duplicates against brute force: with tables enough all are found, in any order and however little memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.dedup import near_duplicates
from tagmill.ingest.dedup.near_duplicates import NearFound, NearRules, find_near
from tagmill.ingest.engines.table_files import TableFiles
from tagmill.ingest.similarity.hash_files import HashFile, Records
from tagmill.ingest.similarity.lsh import draw_lsh_tables
from tagmill.shards.errors import TagmillError
from tests.ingest.pictures_apart import all_distances, away, random_hashes, records

NOBODY = np.zeros(0, np.int64)


def find(
    folder: Path, rows: Records, rules: NearRules, memory: int = 1 << 30, threads: int = 2, **more: Any
) -> NearFound:
    file = HashFile(folder / "hashes")
    file.unlink()
    file.append(rows)
    return find_near(
        file, rules, seed=0, memory=memory, threads=threads, spool=folder / "spool", **{"gone": NOBODY, **more}
    )


def whole(files: TableFiles) -> list[dict[str, Any]]:
    return [row for path in files.paths for row in pq.read_table(path).to_pylist()]


def edges(found: NearFound) -> set[tuple[int, int, int]]:
    return {tuple(row.values()) for row in whole(found.edges)}


def alike(found: NearFound) -> dict[int, int]:
    return {row["row_id"]: row["head"] for row in whole(found.alike)}


def families(draw: np.random.Generator, count: int, size: int) -> Records:
    """Random hashes, each with others 0 to 40 bits away."""
    made = []
    for pdq in random_hashes(draw, count):
        made += [pdq, *(away(draw, pdq, int(draw.integers(0, 41))) for _ in range(size - 1))]
    order = draw.permutation(count * size)
    return records(np.stack(made)[order], row_ids=order * 10, weights=draw.integers(1, 5, count * size))


def expected(rows: Records, threshold: int, heads: set[int]) -> set[tuple[int, int, int]]:
    some = rows[np.isin(rows["row_id"], list(heads))]
    distances = all_distances(some["pdq"], some["pdq"])
    pairs = set()
    for a, b in np.argwhere(distances <= threshold).tolist():
        if some["row_id"][a] < some["row_id"][b]:
            pairs.add((int(some["row_id"][a]), int(some["row_id"][b]), int(distances[a, b])))
    return pairs


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1 << 30), threshold=st.integers(0, 40))
def test_with_tables_enough_all_pairs_are_found(
    tmp_path_factory: pytest.TempPathFactory, seed: int, threshold: int
) -> None:
    rows = families(np.random.default_rng(seed), 12, 5)
    rules = NearRules(
        threshold=threshold, bits=1, tables=60, bucket=1000
    )  # one bit: a pair at 40 is missed by 1 in 10^5
    found = find(tmp_path_factory.mktemp("near"), rows, rules)
    heads = set(rows["row_id"].tolist()) - set(alike(found))
    assert edges(found) == expected(rows, threshold, heads)
    for row, head in alike(found).items():
        mine, best = rows[rows["row_id"] == row][0], rows[rows["row_id"] == head][0]
        assert (mine["pdq"] == best["pdq"]).all() and head in heads
        assert (-best["weight"], best["row_id"]) < (-mine["weight"], mine["row_id"])


def test_neither_order_nor_memory_nor_threads_change_what_is_found(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = families(draw, 400, 4)
    rules = NearRules(bucket=10)  # some buckets are crowded too
    first = find(tmp_path, rows, rules)
    once, same = edges(first), alike(first)
    assert len(once) > 300 and first.counts.tables > 2
    for memory, threads in ((1 << 14, 1), (1 << 16, 3), (1 << 30, 1)):
        again = find(tmp_path, rows[draw.permutation(len(rows))], rules, memory, threads)
        assert (edges(again), alike(again)) == (once, same)
        assert (again.counts.spilled > 0) == (memory < 1 << 30)
        assert again.counts.crowded_rows == first.counts.crowded_rows
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"edges-000000.parquet", "alike-000000.parquet"}


@pytest.mark.parametrize("bits", [6, 24, 28])
def test_pairs_of_equal_table_bits_are_found_however_tables_are_split(tmp_path: Path, bits: int) -> None:
    """From 24 bits on tables have bits in common; with little memory their partitions are split once more."""
    rows, bands = families(np.random.default_rng(bits), 300, 5), draw_lsh_tables(bits, 10, 0)
    pdq, row_ids = rows["pdq"], rows["row_id"]
    distances = all_distances(pdq, pdq)
    meet = np.zeros((len(rows), len(rows)), np.bool_)
    for mask in bands.masks:
        meet |= ((pdq[:, None] & mask) == (pdq[None] & mask)).all(axis=2)
    for memory in (1 << 13, 1 << 30):
        found = find(tmp_path, rows, NearRules(bits=bits, tables=10, bucket=10_000), memory)
        heads = np.isin(row_ids, sorted(alike(found)), invert=True)
        near = meet & (distances <= 31) & (row_ids[:, None] < row_ids) & heads[:, None] & heads
        wanted = {(int(row_ids[a]), int(row_ids[b]), int(distances[a, b])) for a, b in np.argwhere(near).tolist()}
        assert edges(found) == wanted and len(wanted) > 100
        assert (found.counts.spilled > 0) == (memory < 1 << 30 or bits > 23)
    assert {path.name for path in (tmp_path / "spool").iterdir()} == {"edges-000000.parquet", "alike-000000.parquet"}


def test_a_bucket_of_very_many_is_cut(tmp_path: Path) -> None:
    """All have the same bits in every table except of the last word; only the heaviest are compared with all."""
    draw = np.random.default_rng(2)
    pdq = np.repeat(random_hashes(draw, 1), 30_000, axis=0)
    pdq[:, 3] ^= draw.permutation(1 << 20)[:30_000].astype(np.uint64)
    rows = records(pdq, weights=draw.permutation(30_000))
    found = find(tmp_path, rows, NearRules(bits=4, tables=3, bucket=20))
    assert found.counts.crowded_buckets > 0 and found.counts.crowded_rows > 25_000
    assert found.edges.rows <= 3 * (30_000 + 16 * 190)
    met = {row for a, b, _ in edges(found) for row in (a, b)}
    assert len(met) == 30_000  # all lie within 20 bits of each other


def test_a_million_equal_hashes_are_one(tmp_path: Path) -> None:
    pdq = np.repeat(random_hashes(np.random.default_rng(3), 1), 1_000_000, axis=0)
    found = find(tmp_path, records(pdq), NearRules())
    assert found.counts.hashes == 1 and edges(found) == set()
    assert set(alike(found).values()) == {0} and len(alike(found)) == 999_999


@pytest.mark.parametrize("count", [0, 1])
def test_no_hash_or_one_has_no_neighbour(tmp_path: Path, count: int) -> None:
    found = find(tmp_path, records(random_hashes(np.random.default_rng(4), count)), NearRules())
    assert (edges(found), alike(found), found.counts.hashes) == (set(), {}, count)


def test_low_quality_and_those_that_are_gone_are_left_out(tmp_path: Path) -> None:
    pdq = np.repeat(random_hashes(np.random.default_rng(5), 1), 4, axis=0)
    rows = records(pdq)
    rows["weight"][0] = 1 << 7 | 49
    found = find(tmp_path, rows, NearRules(quality=50), gone=np.array([1]))
    assert alike(found) == {3: 2} and found.counts.low_quality == 1


def test_hashes_that_do_not_fit_are_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK", 100)
    pdq = np.repeat(random_hashes(np.random.default_rng(6), 1), 10_000, axis=0)
    with pytest.raises(TagmillError, match="raise memory_limit"):
        find(tmp_path, records(pdq), NearRules(), memory=1 << 14)


def test_recall_is_what_is_predicted(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    own = random_hashes(draw, 20_000)
    turns = draw.random((20_000, 256)).argsort(axis=1)
    bits = np.arange(20_000) % 31 + 1
    other = own ^ np.packbits(turns < bits[:, None], axis=1).view(">u8").astype(np.uint64)
    found = find(tmp_path, records(np.concatenate([own, other])), NearRules(bits=24, tables=8))
    met = {(a, b) for a, b, _ in edges(found)}
    hit = np.array([(number, number + 20_000) in met for number in range(20_000)])
    for distance in (1, 6, 12, 18, 24, 31):
        assert hit[bits == distance].mean() == pytest.approx(found.counts.predicted[distance], abs=0.06)
