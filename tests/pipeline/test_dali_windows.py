"""DALI's region decoder: a dead pipeline is rebuilt, and only windows that are to blame are missing."""

from typing import Any

import numpy as np
import pytest

from tagmill.pipeline.augment import Crops, train_crops
from tagmill.shards.errors import TagmillError
from tests.pipeline.corpora import picture

pytest.importorskip("nvidia.dali")
dali = pytest.importorskip("tagmill.pipeline.dali_windows")

GOOD = [picture(i, 96, 80) for i in range(5)]
TABLE = GOOD[2].index(b"\xff\xc4") + 5  # how many codes there are of each length
UNDECODABLE = GOOD[2][:TABLE] + b"\xff" * 16 + GOOD[2][TABLE + 16 :]  # only the decoder finds out


def crops(count: int) -> Crops:
    return train_crops(3, 0, np.arange(count), np.full(count, 96, np.int32), np.full(count, 80, np.int32))


def windows_of(decoder: Any, jpegs: list[Any]) -> dict[int, Any]:
    """Copies of all windows, by row."""
    found = {}
    for rows, window_of in decoder.groups(jpegs, crops(len(jpegs)), 16):
        for row in rows:
            window = window_of(row)
            found[row] = None if window is None else np.array(window)
    return found


def test_windows_of_many_groups_with_bad_ones_in_some() -> None:
    count = 5 * dali.GROUP + 3
    jpegs: list[Any] = [GOOD[i % 5] for i in range(count)]
    alone = windows_of(dali.DaliWindows(1), jpegs)
    bad, none, empty = {0, dali.GROUP + 1, dali.GROUP + 2, 3 * dali.GROUP, count - 1}, {5, 70}, {9, 200}
    for row in range(count):
        jpegs[row] = (
            (UNDECODABLE, GOOD[0][:300])[row % 2]
            if row in bad
            else None
            if row in none
            else b""
            if row in empty
            else jpegs[row]
        )
    decoder = dali.DaliWindows(2)
    for _ in range(2):  # and it lives on
        found = windows_of(decoder, jpegs)
        assert found.keys() == set(range(count)) - none
        assert {row for row, window in found.items() if window is None} == bad | empty
        for row, window in found.items():
            assert window is None or (window == alone[row]).all()
    decoder.close()


def test_windows_that_nobody_fetched_do_not_come_later() -> None:
    decoder = dali.DaliWindows(2)
    jpegs: list[Any] = [GOOD[i % 5] for i in range(3 * dali.GROUP)]
    begun = decoder.groups(jpegs, crops(len(jpegs)), 16)
    next(begun)
    begun.close()
    found, wanted = windows_of(decoder, jpegs[::-1]), windows_of(dali.DaliWindows(1), jpegs[::-1])
    assert all((found[row] == wanted[row]).all() for row in wanted)


def test_windows_that_fail_only_together_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, build = dali.DaliWindows(1), dali.windows_pipeline

    def breaking(*arguments: Any) -> Any:
        pipeline = build(*arguments)
        share = pipeline.share_outputs
        pipeline.share_outputs = lambda: share() if len(pipeline_fed[-1]) == 1 else fail()
        return pipeline

    def fail() -> None:
        raise RuntimeError("out of memory")

    pipeline_fed: list[Any] = []
    inputs = dali._inputs

    def recorded(jpegs: Any, windows: Any, rows: Any) -> Any:
        pipeline_fed.append(rows)
        return inputs(jpegs, windows, rows)

    monkeypatch.setattr(dali, "windows_pipeline", breaking)
    monkeypatch.setattr(dali, "_inputs", recorded)
    with pytest.raises(TagmillError, match="out of memory"):
        windows_of(decoder, list(GOOD))


def test_what_dali_must_not_see_is_refused_before_it_does() -> None:
    """DALI 2.4 was seen to crash the process over headers that contradict themselves: most flips of a bit in one are tried."""
    jpeg = GOOD[0]
    header = jpeg.index(b"\xff\xda") + 14
    altered = []
    for place in range(2, header):
        for bit in range(0, 8, 3):
            other = bytearray(jpeg)
            other[place] ^= 1 << bit
            altered.append(bytes(other))
    decoder = dali.DaliWindows(2)
    found = windows_of(decoder, altered + list(GOOD))
    assert sum(window is None for window in found.values()) > 100
    assert all(found[row] is not None for row in range(len(altered), len(altered) + 5))
    assert found[len(altered)].any()
