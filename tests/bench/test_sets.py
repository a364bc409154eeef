"""Tests that the benchmark of deduplication runs at a tiny size, and that it reports the planted rows correctly."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tagmill.bench import measure, sets

SIZES, BLOCK = (10_000, 20_000), 10_000


def command(folder: Path, *more: str) -> list[str]:
    rows = [word for size in SIZES for word in ("--rows", str(size))]
    sizes = ["--block-rows", str(BLOCK), "--memory", "1GiB", "--folder", str(folder)]
    return [sys.executable, str(measure.ROOT / "bench" / "sets.py"), *rows, *sizes, *more]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sets")
    subprocess.run(command(folder, "--out", str(folder / "out.json")), check=True, capture_output=True)
    return folder, json.loads((folder / "out.json").read_text())


def test_every_planted_leak_is_found_and_the_ratio_is_reported(told: tuple[Path, dict[str, Any]]) -> None:
    _, found = told
    assert list(found["cases"]) == ["10,000 rows", "20,000 rows"]
    assert list(found["ratios"]) == ["20,000 rows / 10,000 rows"] and found["ratios"]["20,000 rows / 10,000 rows"] > 0
    for case in found["cases"].values():
        assert case["evaluation_recall"] == 1.0 and case["evaluation_planted"] == sets.LEAKED
        assert case["median"] > 0 and case["peak_memory_bytes"] > 50_000_000 and len(case["recall"]) == sets.FARTHEST


@pytest.mark.parametrize("rows", SIZES)
def test_the_reasons_match_the_planted_rows(told: tuple[Path, dict[str, Any]], rows: int) -> None:
    """One row in ten has another's bytes; near ones that are found are dropped, and no more than were planted."""
    case = told[1]["cases"][f"{rows:,} rows"]
    reasons = case["told"]["reasons"]
    near = rows // BLOCK * sets.own_and_near(BLOCK)[1]
    assert reasons["duplicate"] == rows // 10 and reasons["evaluation"] == sets.LEAKED
    expected = sum(share * pairs for share, pairs in zip(case["recall"], case["pairs_by_distance"], strict=True))
    assert 0.95 * near < reasons["near_duplicate"] == round(expected) <= near == sum(case["pairs_by_distance"])
    assert min(case["recall"][:16]) > 0.95
    assert case["told"]["tags"]["tags"] == sets.TAGS * (rows - sum(reasons.values()))


def test_planted_pairs_have_the_stated_distances(told: tuple[Path, dict[str, Any]]) -> None:
    names = [f"pdq{word}" for word in range(4)]
    table = pq.read_table(told[0] / f"{SIZES[0]}-in-{BLOCK}" / sets.facts_file(0), columns=[*names, "key"])
    pdq, (own, near) = (
        np.stack([table[name].to_numpy() for name in names], axis=1).view(np.uint64),
        sets.own_and_near(BLOCK),
    )
    apart = np.bitwise_count(pdq[:near] ^ pdq[own : own + near]).sum(axis=1)
    assert np.array_equal(apart, sets.distance_of(near))
    keys = table["key"].to_pylist()
    assert len(set(keys)) == own + near and keys[own + near :] == keys[own - (BLOCK - own - near) : own]


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for rows in ("15000", "1000"):
        done = subprocess.run(command(tmp_path, "--rows", rows), capture_output=True, text=True)
        assert done.returncode == 2 and "multiple" in done.stderr
