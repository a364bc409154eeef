"""Tests that the complete comparison of planted near copies equals comparing every pair, on the small web of these
tests."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.demo.ceiling import QUALITY, THRESHOLD, Ceiling, ceiling
from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.fingerprint import fingerprint
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.similarity.lsh import draw_lsh_tables

POLICY = ImagePolicy(128, 90, 16, 10**8)


def hash_of(path: Path) -> "np.ndarray[Any, Any] | None":
    body = path.read_bytes()
    made = prepare(body, POLICY)
    assert isinstance(made, Prepared)
    prints = fingerprint(body, made.thumbnail)
    return np.array(prints.pdq).view(np.uint64) if prints.pdq_quality >= QUALITY else None


def bits(left: Path, right: Path) -> int:
    """Returns 256 if there is too little detail."""
    one, other = hash_of(left), hash_of(right)
    return 256 if one is None or other is None else int(np.bitwise_count(one ^ other).sum())


def test_it_equals_comparing_every_pair(web: Path, truth: list[dict[str, Any]], tmp_path: Path) -> None:
    predicted = draw_lsh_tables(8, 16, 0).predicted()[: THRESHOLD + 1]
    (tmp_path / "corpus.json").write_text(json.dumps({"image_policy": asdict(POLICY)}))
    (tmp_path / "report.json").write_text(json.dumps({"sets": {"near": {"predicted": predicted}}}))
    found = ceiling(web, tmp_path)
    place = {row["row"]: web / "pictures" / row["file"] for row in truth}
    apart = {row["row"]: bits(place[row["row"]], place[int(row["of"])]) for row in truth if row["kind"] == "near_copy"}
    assert found.copies == {row: distance for row, distance in apart.items() if distance <= THRESHOLD}
    assert len(apart) == 15 and len(found.copies) >= 5
    held_out = sorted((web / "evaluation").rglob("*.jpg"))
    leaks = [row["row"] for row in truth if row["kind"] == "leak_near"]
    near = {row for row in leaks if min(bits(place[row], path) for path in held_out) <= THRESHOLD}
    assert found.leaks == near and found.predicted == predicted


@pytest.mark.parametrize(
    ("share", "missed"),
    [(1.0, 0), (0.9999, 0), (0.99, 3), (0.0, 100)],  # 100 * 0.01 + 3 * sqrt(100 * 0.99 * 0.01) = 3.98
)
def test_tables_may_miss_as_predicted_plus_three_deviations(share: float, missed: int) -> None:
    assert Ceiling(dict.fromkeys(range(100), 16), frozenset(), [share] * 32).most_missed() == missed
