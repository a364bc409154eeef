"""Tests a loader whose images vary in size: the same sizes and images for any number of ranks, and after every resume."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.pipeline import Batch, Loader, LoaderConfig, Mixture, ProgressiveSize, VariedSize, World
from tagmill.pipeline.augment.image_size import side_of
from tagmill.pipeline.decode.threads.pool import DecodePool
from tagmill.shards.errors import TagmillError
from tests.pipeline.corpora import Made, make_corpus

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")

CONFIG = LoaderConfig(
    batch_size=12, streams=4, window=2, chunk=4, threads=2, readers=2, backend="cpu", seed=3, jitter=(0.2, 0.2, 0, 0)
)
VARIED, GROWING = VariedSize(8, 24, 4), ProgressiveSize(8, 24, epochs=2.5, step=4)
STEPS = 20  # 60 turns an epoch: four epochs; of the mixture 180 turns of the first corpus, three epochs
KINDS = ["varied", "growing", "varied mixture", "growing mixture"]
Told = Counter[tuple[int, int, bytes]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    return [make_corpus(folders[0], [25, 35], holdout=[9]), make_corpus(folders[1], [9, 13], seed=1)]


def opened(made: list[Made], kind: str, world: World | None = None, **changes: Any) -> Loader:
    config = replace(CONFIG, size=VARIED if "varied" in kind else GROWING, **changes)
    corpus = Mixture((made[0].url, 3), (made[1].url, 1)) if "mixture" in kind else made[0].url
    return Loader(corpus, config, world or World())


def told(batch: Batch) -> Told:
    """Returns (source, position, pixels) of the real slots of a batch."""
    sources = [0] * batch.count if batch.sources is None else batch.sources.tolist()
    rows = zip(sources, batch.positions.tolist(), batch.images, strict=False)
    return Counter((source, position, image.numpy().tobytes()) for source, position, image in islice(rows, batch.count))


def side(batch: Batch) -> int:
    high, wide = batch.images.shape[2:]
    assert high == wide
    return high


@pytest.fixture(scope="module")
def whole(made: list[Made]) -> dict[str, tuple[list[Batch], list[dict[str, Any]]]]:
    """Returns the batches of one rank for each kind, and the state before each and after the last, through JSON."""
    found = {}
    for kind in KINDS:
        with opened(made, kind) as loader:
            states, batches = [loader.state_dict()], []
            for batch in islice(loader.endless(), STEPS):
                batches.append(batch)
                states.append(json.loads(json.dumps(loader.state_dict())))
        found[kind] = batches, states
    return found


@pytest.mark.parametrize("kind", ["varied", "varied mixture"])
def test_each_batch_has_the_size_that_its_state_draws(whole: Any, kind: str) -> None:
    batches, states = whole[kind]
    sides = [side(batch) for batch in batches]
    assert sides == [side_of(VARIED, 3, (state["epoch"], state["turn"]), 0.0) for state in states[:-1]]
    assert set(sides) == {8, 12, 16, 20, 24}


def test_a_growing_size_takes_an_equal_part_of_the_epochs_for_each_side(whole: Any) -> None:
    """Of 2.5 epochs of 60 turns each of five sides has 30 turns; the mixture takes 9 of the first corpus a batch."""
    sides = {kind: [side(batch) for batch in batches] for kind, (batches, _) in whole.items()}
    assert sides["growing"] == [8 + 4 * min(4, 12 * step // 30) for step in range(STEPS)]
    assert sides["growing mixture"] == [8 + 4 * min(4, 9 * step // 30) for step in range(STEPS)]
    assert sides["growing"][-1] == sides["growing mixture"][-1] == 24


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.integers(0, STEPS - 1), ranks=st.integers(1, 4))
def test_every_state_gives_the_same_sizes_and_images_on_any_number_of_ranks(
    made: list[Made], whole: Any, kind: str, done: int, ranks: int
) -> None:
    batches, states = whole[kind]
    wanted = batches[done : done + 3]
    found = [Told() for _ in wanted]
    for rank in range(ranks):
        with opened(made, kind, World(rank, ranks)) as loader:
            loader.load_state_dict(states[done])
            for number, batch in enumerate(islice(loader.endless(), len(wanted))):
                assert side(batch) == side(wanted[number])
                found[number] += told(batch)
    assert found == [told(batch) for batch in wanted]


def test_order_crops_and_labels_are_those_of_one_size(made: list[Made], whole: Any) -> None:
    with Loader(made[0].url, replace(CONFIG, size=16), World()) as loader:
        for one, other in zip(islice(loader.endless(), STEPS), whole["varied"][0], strict=True):
            assert torch.equal(one.positions, other.positions) and (one.keys == other.keys).all()
            assert torch.equal(one.labels.ids, other.labels.ids)
            if side(other) == 16:
                assert torch.equal(one.images, other.images)


def test_a_state_of_one_size_is_as_before_and_resumes_with_another(made: list[Made]) -> None:
    with Loader(made[0].url, replace(CONFIG, size=16), World()) as loader:
        first = next(iter(loader))
        state = loader.state_dict()
    assert "size" not in state and "size" not in state["fields"]  # type: ignore[operator]
    with Loader(made[0].url, replace(CONFIG, size=20), World()) as loader:
        loader.load_state_dict(state)
        second = next(iter(loader))
    assert side(first) == 16 and side(second) == 20


@pytest.mark.parametrize("how", ["json", "dcp"])
def test_another_setting_of_sizes_is_refused(made: list[Made], tmp_path: Path, how: str) -> None:
    with opened(made, "varied") as loader:
        next(iter(loader))
        dcp.save({"loader": loader}, checkpoint_id=tmp_path)
        state = json.loads(json.dumps(loader.state_dict()))
    with opened(made, "varied") as loader:
        if how == "json":
            loader.load_state_dict(state)
        else:
            dcp.load({"loader": loader}, checkpoint_id=tmp_path)
        assert loader.state_dict() == state
    for size in (16, GROWING, VariedSize(8, 24, 8)):
        with (
            Loader(made[0].url, replace(CONFIG, size=size), World()) as loader,
            pytest.raises(TagmillError, match=r"size.*configure size as it was"),
        ):
            if how == "json":
                loader.load_state_dict(state)
            else:
                dcp.load({"loader": loader}, checkpoint_id=tmp_path)


def test_memory_is_that_of_the_largest_size(made: list[Made]) -> None:
    for size in (VARIED, GROWING):
        with (
            Loader(made[0].url, replace(CONFIG, size=size), World()) as several,
            Loader(made[0].url, replace(CONFIG, size=24), World()) as one,
        ):
            assert several.memory() == one.memory()


def test_a_later_batch_is_decoded_early_in_its_own_size(made: list[Made], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was started early is thrown away."""
    cancelled = list[object]()
    cancel = DecodePool.cancel
    monkeypatch.setattr(DecodePool, "cancel", lambda *call: (cancelled.append(call), cancel(*call)))
    with opened(made, "varied") as loader:
        sides = [side(batch) for batch in islice(loader.endless(), STEPS)]
        assert len(set(sides)) > 1 and not cancelled


def test_dali_and_the_cpu_agree_on_sizes(made: list[Made], whole: Any) -> None:
    pytest.importorskip("nvidia.dali")
    with opened(made, "varied", backend="dali") as loader:
        for batch, other in zip(islice(loader.endless(), 8), whole["varied"][0], strict=False):
            assert batch.images.shape == other.images.shape and torch.equal(batch.positions, other.positions)
            apart = (batch.images.to(torch.int16) - other.images.to(torch.int16)).abs()
            assert float(apart.float().mean()) < 3
