"""Tests when garbage is collected, and that Python's own collection is as before afterwards."""

import gc

import pytest

from tagmill.training.parallel import garbage
from tagmill.training.parallel.garbage import EVERY, collect_garbage, garbage_at_intervals


@pytest.fixture(autouse=True)
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here alone; see tests/conftest.py."""
    monkeypatch.setattr(garbage, "gc", gc)


@pytest.mark.parametrize("automatic", [True, False])
def test_collection_is_as_before_after_an_error(automatic: bool) -> None:
    if not automatic:
        gc.disable()
    try:
        with pytest.raises(InterruptedError), garbage_at_intervals():
            assert not gc.isenabled() and gc.get_freeze_count() > 0
            raise InterruptedError
        assert gc.isenabled() == automatic and gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_it_is_collected_at_intervals_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = list[int]()
    with garbage_at_intervals():
        for step in range(1, 2 * EVERY + 10):
            monkeypatch.setattr(gc, "collect", lambda step=step: collected.append(step))
            collect_garbage(step)
    assert collected == [EVERY, 2 * EVERY]
