"""Tests a mixture of corpora as a trainer sees it: exactly once in each corpus's own epochs, exact resume, holes,
refusals."""

import json
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tagmill.pipeline import Batch, Loader, LoaderConfig, Mixture, World
from tagmill.shards.errors import ConfigError, IntegrityError, TagmillError
from tagmill.shards.view import ONE
from tagmill.shards.vocabulary import Label
from tests.pipeline import corpora
from tests.pipeline.corpora import Made, make_corpus, picture

CONFIG = LoaderConfig(batch_size=12, streams=4, window=2, chunk=4, size=16, threads=2, readers=2, backend="cpu", seed=3)
STEPS = 30  # 270 turns of the first corpus and 90 of the second: several own epochs of both
WEIGHTS = (3, 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    repeats = np.random.default_rng(5).integers(0, 5 * ONE // 2, 60)
    first = make_corpus(tmp_path_factory.mktemp("first"), [25, 35], repeats=repeats, holdout=[4])
    return [first, make_corpus(tmp_path_factory.mktemp("second"), [9, 13], seed=1)]


def mixture(made: list[Made]) -> Mixture:
    return Mixture(*((one.url, weight) for one, weight in zip(made, WEIGHTS, strict=True)))


def run(
    made: list[Made],
    num: int = STEPS,
    world: World | None = None,
    state: dict[str, object] | None = None,
    **changes: Any,
) -> list[Batch]:
    """Returns the first batches of a new loader."""
    with Loader(mixture(made), replace(CONFIG, **changes), world or World()) as loader:
        if state is not None:
            loader.load_state_dict(state)
        return list(islice(loader.endless(), num))


def real(batch: Batch) -> list[tuple[int, int, str]]:
    """Returns (source, position, key) of a batch's real slots."""
    rows = zip(batch.sources.tolist(), batch.positions.tolist(), strict=True)
    return [(*row, batch.key(number)) for number, row in enumerate(rows)][: batch.count]


@pytest.fixture(scope="module")
def whole(made: list[Made]) -> tuple[list[Batch], list[dict[str, Any]]]:
    """Returns the batches of one rank, and the state before each and after the last, after a round trip through JSON."""
    with Loader(mixture(made), CONFIG, World()) as loader:
        states, batches = [loader.state_dict()], []
        for batch in islice(loader.endless(), STEPS):
            batches.append(batch)
            states.append(json.loads(json.dumps(loader.state_dict())))
    return batches, states


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_exactly_once_in_each_corpus_and_its_own_epoch(made: list[Made], ranks: int) -> None:
    per_rank = [run(made, world=World(rank, ranks)) for rank in range(ranks)]
    for source, one in enumerate(made):
        seen = [
            [place for part in parts for place in real(part) if place[0] == source]
            for parts in zip(*per_rank, strict=True)
        ]
        assert {len(places) for places in seen} == {12 * WEIGHTS[source] // sum(WEIGHTS)}  # its weight in every batch
        # Batches are sets of turns, so an epoch's end is only known up to a batch: count keys of whole epochs instead.
        total, epoch, counts = Counter(key for places in seen for _, _, key in places), 0, Counter[str]()
        while sum(counts.values()) <= sum(total.values()):
            before = Counter(counts)
            copies = one.copies(epoch).tolist()
            counts.update({key.hex(): number for key, number in zip(one.keys, copies, strict=True)})
            epoch += 1
        assert epoch > 3
        for key in one.keys:
            assert before[key.hex()] <= total[key.hex()] <= counts[key.hex()]


def test_images_labels_and_positions_belong_together(made: list[Made]) -> None:
    for rank in range(3):
        batches = run(made, 8, World(rank, 3), augment="eval")
        assert len({tuple(batch.images.shape) for batch in batches}) == 1
        for batch in batches:
            for row, (source, _, key) in enumerate(real(batch)):
                number = made[source].number_of(bytes.fromhex(key))
                labels = made[source].labels[number]
                assert batch.labels[row].tolist() == labels[labels >= 0].tolist()
            pad = slice(batch.count, None)
            assert (batch.sources[pad] == -1).all() and (batch.positions[pad] == -1).all()
            assert not batch.valid[pad].any() and not batch.images[pad].any()


def test_every_state_gives_exactly_the_rest(made: list[Made], whole: tuple[list[Batch], list[dict[str, Any]]]) -> None:
    """After every batch, onto one rank and onto another number of ranks."""
    batches, states = whole
    for done in range(STEPS - 3):
        wanted = batches[done : done + 3]
        for one, other in zip(run(made, 3, state=states[done]), wanted, strict=True):
            assert torch.equal(one.images, other.images) and real(one) == real(other)
        ranks = 2 + done % 3
        parts = [run(made, 3, World(rank, ranks), states[done]) for rank in range(ranks)]
        for batch, *together in zip(wanted, *parts, strict=True):
            assert sorted(place for part in together for place in real(part)) == sorted(real(batch))
            pictures: dict[Any, list[torch.Tensor]] = {}  # a place may be in a batch twice, in two epochs
            for place, image in zip(real(batch), batch.images, strict=False):
                pictures.setdefault(place, []).append(image)
            for part in together:
                for row, place in enumerate(real(part)):
                    assert any(torch.equal(part.images[row], image) for image in pictures[place])


def test_an_image_is_cropped_as_in_its_own_epoch_without_a_mixture(
    made: list[Made], whole: tuple[list[Batch], list[dict[str, Any]]]
) -> None:
    alone: dict[tuple[int, int], torch.Tensor] = {}
    with Loader(made[1].url, replace(CONFIG, epochs=4), World()) as loader:
        for epoch in range(4):
            for batch in loader:
                places = zip(real(batch), batch.images, strict=False)
                alone |= {(epoch, place): image for (_, place, _), image in places}
    came = Counter[int]()  # every position comes once an epoch, so its n-th time is its n-th epoch
    for batch in whole[0]:
        for (source, place, _), image in zip(real(batch), batch.images, strict=False):
            if source == 1 and came[place] < 4:
                assert torch.equal(image, alone[came[place], place])
                came[place] += 1
    assert set(came.values()) == {4}
    assert any(not torch.equal(alone[0, place], alone[1, place]) for place in range(22))


def test_the_state_is_a_turn_with_all_digests(
    made: list[Made], whole: tuple[list[Batch], list[dict[str, Any]]]
) -> None:
    for done, state in enumerate(whole[1]):
        assert (state["epoch"], state["turn"], state["weights"]) == (0, 12 * done, [3, 1])
        assert state["manifest"] == [one.open().digest.hex() for one in made]
    with Loader(mixture(made), CONFIG, World()) as loader:
        assert loader.own_epochs == (0, 0)
        loader.load_state_dict(whole[1][-1])
        turns = np.cumsum([int(made[0].copies(epoch).sum()) for epoch in range(9)])
        assert loader.own_epochs == (int(np.searchsorted(turns, 270, side="right")), 90 // 22)
        loader.rewind()
        assert [real(batch) for batch in islice(loader.endless(), 4)] == [real(batch) for batch in whole[0][:4]]
        for name in ("samples_per_epoch", "batches_per_epoch"):
            with pytest.raises(ConfigError, match="own_epochs"):
                getattr(loader, name)
        with pytest.raises(TypeError, match="endless"):
            len(loader)
    with Loader(made[0].url, CONFIG, World()) as loader:
        assert loader.own_epochs == (0,)
        assert set(next(iter(loader)).sources.tolist()) == {0}


def test_a_broken_sample_is_a_hole_in_the_slot_of_its_image(tmp_path: Path, made: list[Made]) -> None:
    broken = make_corpus(tmp_path, [9, 13], seed=1, replace={4: picture(4)[:-60], 15: b"\xff\xd8 gone \xff\xd9"})
    holes = Counter[int]()
    with Loader(mixture([made[0], broken]), CONFIG, World()) as loader:
        for batch in islice(loader.endless(), 24):  # 72 turns of 22 samples: each at least three times
            assert batch.count == 12
            for row, (source, _, key) in enumerate(real(batch)):
                number = (made[0], broken)[source].number_of(bytes.fromhex(key))
                hole = source == 1 and number in (4, 15)
                assert bool(batch.valid[row]) is not hole
                assert bool(batch.images[row].any()) is not hole
                holes[number] += hole
        assert set(loader.meters.as_dict()["holes"]) == {"cut", "undecodable"}
    assert 3 <= holes[4] <= 4 and 3 <= holes[15] <= 4


def test_a_bad_shard_of_one_corpus_stops_the_run(tmp_path: Path, made: list[Made]) -> None:
    damaged = make_corpus(tmp_path, [9, 13], seed=1)
    damaged.file(1, ".tar").unlink()
    with pytest.raises(IntegrityError, match=r"000001\.tar"):
        run([made[0], damaged])


@pytest.mark.parametrize(
    ("field", "value"),
    [("weights", [1, 3]), ("weights", None), ("manifest", ["00" * 32] * 2), ("view", None), ("batch_size", 8)],
)
def test_a_state_of_another_mixture_is_refused_by_name(made: list[Made], field: str, value: object) -> None:
    with Loader(mixture(made), CONFIG, World()) as loader:
        state = loader.state_dict()
        with pytest.raises(TagmillError, match=f"{field} is"):
            loader.load_state_dict({**state, field: value})
        with pytest.raises(TagmillError, match="epoch 1 of a mixture"):
            loader.load_state_dict({**state, "epoch": 1})
    with Loader(made[0].url, CONFIG, World()) as alone, pytest.raises(TagmillError, match=r"weights is \[3, 1\]"):
        alone.load_state_dict(state)


def test_invalid_mixtures_are_refused(made: list[Made]) -> None:
    with pytest.raises(ConfigError, match=r"epochs = 2.*leave epochs at None"):
        run(made, epochs=2)
    with pytest.raises(ConfigError, match=r"are the same corpus.*sum of the weights"):
        run([made[0], made[0]])
    with pytest.raises(ConfigError, match="leave a rank without samples"):
        run(made, world=World(0, 4), batch_size=4)
    with pytest.raises(ConfigError, match="set memory_limit to"):
        run(made, memory_limit=1000)


def test_every_corpus_has_its_own_windows(made: list[Made]) -> None:
    config = replace(CONFIG, backend="pillow")  # which needs no memory of its own
    with Loader(mixture(made), config, World()) as both, Loader(made[0].url, config, World()) as alone:
        second = sum(entry.bytes for entry in made[1].entries) / 22
        assert both.memory() - alone.memory() == pytest.approx(4 * 2 * 4 * second, rel=0.1)


def test_one_vocabulary(tmp_path: Path, made: list[Made], monkeypatch: pytest.MonkeyPatch) -> None:
    def label(i: int, name: str, synsets: tuple[str, ...], lemmas: tuple[str, ...]) -> Label:
        return Label(i, name, ("n99999999",) if i == 2 else synsets, lemmas)

    def counted(number: int, name: str, *parts: Any) -> Label:
        return Label(number, f"{name} here", *parts, tokens={"tag": 3}, images=3)

    monkeypatch.setattr(corpora, "Label", label)
    other = make_corpus(tmp_path / "other", [8], seed=2)
    with pytest.raises(
        ConfigError, match=r"label 2 = n00000002 \(label2\) in .*, label 2 = n99999999 \(label2\) in .*other"
    ):
        Loader(mixture([made[0], other]), CONFIG, World())
    assert run([made[0], other], 2, view=None)
    monkeypatch.setattr(corpora, "Label", counted)
    assert run([made[0], make_corpus(tmp_path / "counted", [8], seed=3)], 2)  # other names and counts, the same classes
    monkeypatch.setattr(corpora, "NUM_LABELS", 6)
    fewer = make_corpus(tmp_path / "fewer", [8], seed=4)
    with pytest.raises(ConfigError, match=r"7 labels in .*, 6 labels in .*fewer"):
        Loader(mixture([made[0], fewer]), CONFIG, World())


def test_even_leaves_ranks_idle(made: list[Made]) -> None:
    per_rank = [run(made, 5, World(rank, 4), even=True, batch_size=16) for rank in range(4)]
    assert [len(batches) for batches in per_rank] == [5] * 4
    assert {batch.count for batches in per_rank for batch in batches} == {4}
    assert [bool(run(made, 2, World(rank, 4), even=True, batch_size=8)) for rank in range(4)] == [
        True,
        True,
        False,
        False,
    ]
