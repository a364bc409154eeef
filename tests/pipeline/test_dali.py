"""The DALI backend on the CPU: a dead pipeline is rebuilt, and only samples that are to blame become holes."""

from typing import Any

import numpy as np
import pytest
import torch

from tagmill.pipeline.augment import Crops, train_crops
from tagmill.shards.errors import TagmillError
from tests.pipeline.corpora import picture

pytest.importorskip("nvidia.dali")
dali = pytest.importorskip("tagmill.pipeline.dali")

GOOD = [picture(i, 96, 80) for i in range(5)]
TABLE = GOOD[2].index(b"\xff\xc4") + 5  # how many codes there are of each length
UNDECODABLE = GOOD[2][:TABLE] + b"\xff" * 16 + GOOD[2][TABLE + 16 :]  # only the decoder finds out


def crops(count: int) -> Crops:
    return train_crops(3, 0, np.arange(count), np.full(count, 96, np.int32), np.full(count, 80, np.int32))


def test_only_a_failed_batch_is_fed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = dali.DaliBackend(2)
    fed: list[list[int]] = []
    run = backend._run

    def recorded(jpegs: Any, windows: Any, rows: Any, pixels: Any) -> None:
        fed.append(rows.tolist())
        run(jpegs, windows, rows, pixels)

    monkeypatch.setattr(backend, "_run", recorded)
    backend.decode(GOOD, crops(5), 16)
    assert fed == [[0, 1, 2, 3, 4]]
    fed.clear()
    _, failed = backend.decode([*GOOD[:2], UNDECODABLE, *GOOD[3:]], crops(5), 16)
    assert fed == [[0, 1, 2, 3, 4], [0], [1], [2], [3], [4]]
    assert failed.tolist() == [False, False, True, False, False]


def test_a_failure_that_no_sample_is_to_blame_for_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = dali.DaliBackend(1)
    run = backend._run

    def fails_together(jpegs: Any, windows: Any, rows: Any, pixels: Any) -> None:
        if len(rows) > 1:
            raise RuntimeError("out of memory")
        run(jpegs, windows, rows, pixels)

    monkeypatch.setattr(backend, "_run", fails_together)
    with pytest.raises(TagmillError, match=r"out of memory.*another backend"):
        backend.decode(GOOD, crops(5), 16)


def test_batches_and_images_of_other_sizes() -> None:
    backend = dali.DaliBackend(2)
    small, _ = backend.decode(GOOD[:2], crops(2), 16)
    large, _ = backend.decode(GOOD, crops(5), 16)
    wide, _ = backend.decode(GOOD, crops(5), 33)
    nothing, failed = backend.decode([None, None], crops(2), 16)
    assert torch.equal(large[:2], small)
    assert wide.shape == (5, 3, 33, 33)
    assert not nothing.any() and not failed.any()
    backend.close()
    again, _ = backend.decode(GOOD, crops(5), 16)
    assert torch.equal(again, large)


def test_threads_do_not_change_a_pixel() -> None:
    one, _ = dali.DaliBackend(1).decode(GOOD, crops(5), 24)
    four, _ = dali.DaliBackend(4).decode(GOOD, crops(5), 24)
    assert torch.equal(one, four)


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
    decoder, build = dali.DaliWindows(1), dali._build

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

    monkeypatch.setattr(dali, "_build", breaking)
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
