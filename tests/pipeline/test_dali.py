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
    _, failed = backend.decode([*GOOD[:2], GOOD[2][:300], *GOOD[3:]], crops(5), 16)
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
    with pytest.raises(TagmillError, match=r"out of memory.*backend cpu"):
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
