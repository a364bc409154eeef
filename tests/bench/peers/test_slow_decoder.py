"""Tests the decoder that pretends that some images take long."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tagmill.bench.peers import slow_decoder
from tagmill.bench.peers.slow_decoder import CLUMP, EVERY, FACTOR, SlowDecoder, is_slow
from tagmill.pipeline.augment.draws import train_crops
from tagmill.pipeline.decode.threads.turns import Turns


@pytest.mark.parametrize("clumped", [False, True])
def test_one_image_of_a_hundred_is_slow(clumped: bool) -> None:
    numbers = [(image, batch) for batch in range(10 * CLUMP) for image in range(10 * EVERY)]
    slow = [pair for pair in numbers if is_slow(*pair, clumped=clumped)]
    assert len(slow) == len(numbers) / EVERY
    assert len({batch for _, batch in slow}) == (10 if clumped else 10 * CLUMP)


def test_threads_wait_for_each_image_once_and_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()
    monkeypatch.setattr(slow_decoder.time, "sleep", waited.append)
    decoder, turns = SlowDecoder(0.5, clumped=False), Turns(3000)
    crops = train_crops(0, 0, np.arange(3000), *[np.full(3000, 300, np.int32)] * 2)
    with ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(decoder.fill, np.zeros(1), range(3000), [b""] * 3000, crops, None, turns) for _ in range(4)
        ]:
            assert done.result() == []
    assert decoder.totals()["decoded"] == len(waited) == 3000
    assert set(waited) == {0.5, 0.5 * FACTOR} and 15 <= waited.count(0.5 * FACTOR) <= 50


def test_a_batch_keeps_its_number_and_its_memory_may_be_used_again() -> None:
    decoder = SlowDecoder(0, clumped=True)
    batches = [np.zeros(1) for _ in range(50)]
    numbers = [decoder._number_of(batch) for batch in batches]
    assert numbers == [decoder._number_of(batch) for batch in batches] and len(set(numbers)) == 50
    del batches[:]
    assert len(decoder._batches) <= 1, "of the last loop's variable"
