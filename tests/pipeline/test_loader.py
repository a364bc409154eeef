"""Tests the loader as a trainer sees it: exactly once, exact resume on any number of ranks, holes, errors, ends."""

import gc
import json
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tagmill.pipeline import Batch, Loader, LoaderConfig, World
from tagmill.shards.errors import ConfigError, CorpusError, IntegrityError, TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import ONE
from tests.pipeline.corpora import NUM_LABELS, Made, make_corpus, picture
from tests.pipeline.decode.test_backend import BACKENDS, IN_TURN
from tests.pipeline.epochs import batches_left

REPEATS = np.random.default_rng(4).integers(0, 5 * ONE // 2, 88)
CONFIG = LoaderConfig(
    batch_size=12, streams=4, window=2, chunk=4, size=16, threads=2, readers=2, epochs=2, backend="cpu", seed=11
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_corpus(tmp_path_factory.mktemp("loader"), [30, 17, 41], holdout=[9], repeats=REPEATS)


def batches_of(
    source: Made | Corpus, world: World | None = None, state: dict[str, object] | None = None, **changes: Any
) -> list[Batch]:
    """Returns all batches of a new loader."""
    corpus = source if isinstance(source, Corpus) else source.open()
    with Loader(corpus, replace(CONFIG, **changes), world or World()) as loader:
        if state is not None:
            loader.load_state_dict(state)
        return list(batches_left(loader))


def real(batch: Batch, what: str = "positions") -> list[Any]:
    """Returns a field of a batch's real slots."""
    values = getattr(batch, what)[: batch.count]
    return values.tolist() if what != "keys" else [bytes(key) for key in values]


def same(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.positions, other.positions)
        and torch.equal(one.valid, other.valid)
        and torch.equal(one.labels.ids, other.labels.ids)
        and torch.equal(one.labels.offsets, other.labels.offsets)
        and (one.keys == other.keys).all()
        and one.count == other.count
    )


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_exactly_once_an_epoch(made: Made, ranks: int) -> None:
    per_rank = [batches_of(made, World(rank, ranks)) for rank in range(ranks)]
    assert len({len(batches) for batches in per_rank}) == 1
    seen = [(key, place) for batches in per_rank for b in batches for key, place in zip(real(b, "keys"), real(b))]
    total = [int(made.copies(epoch).sum()) for epoch in (0, 1)]
    assert len(seen) == sum(total)
    counts = np.bincount([made.number_of(key) for key, _ in seen], minlength=len(made.keys))
    assert (counts == made.copies(0) + made.copies(1)).all()
    assert sorted(place for _, place in seen) == sorted([*range(total[0]), *range(total[1])])


def test_the_number_of_slots_is_constant_and_padding_is_last(made: Made) -> None:
    for rank in range(3):
        batches = batches_of(made, World(rank, 3))
        assert len({tuple(b.images.shape) for b in batches}) == 1
        for batch in batches:
            pad = slice(batch.count, None)
            assert (batch.positions[pad] == -1).all() and (batch.positions[: batch.count] >= 0).all()
            assert batch.valid[: batch.count].all() and not batch.valid[pad].any()
            assert not batch.images[pad].any() and not batch.keys[pad].any()
            assert all(not len(batch.labels[row]) for row in range(batch.count, len(batch)))
        assert any(batch.count < len(batch) for batch in batches)


def test_labels_and_keys_belong_to_their_images(made: Made) -> None:
    pixels: dict[tuple[bytes, tuple[int, ...]], torch.Tensor] = {}
    for batch in batches_of(made, augment="eval"):
        for row in range(batch.count):
            number = made.number_of(bytes(batch.keys[row]))
            assert batch.labels[row].tolist() == [label for label in made.labels[number].tolist() if label >= 0]
            first = pixels.setdefault((made.keys[number], made.sizes[number]), batch.images[row])
            assert torch.equal(first, batch.images[row])  # every copy of an image has the same pixels
    assert len({image.numpy().tobytes() for image in pixels.values()}) == len(pixels)


def test_epochs_are_shuffled_and_copies_get_new_augmentations(made: Made) -> None:
    batches = batches_of(made)
    half = len(batches) // 2
    first, second = ([place for b in part for place in real(b)] for part in (batches[:half], batches[half:]))
    assert first != sorted(first) and first[:50] != second[:50]
    assert [p for b in batches_of(made, seed=12)[:half] for p in real(b)][:50] != first[:50]
    images: dict[bytes, list[bytes]] = {}
    for batch in batches:
        for row, key in enumerate(real(batch, "keys")):
            images.setdefault(key, []).append(batch.images[row].numpy().tobytes())
    several = [found for found in images.values() if len(found) > 2]
    assert several and all(len(set(found)) > 1 for found in several)


@pytest.mark.parametrize("drop_last", [False, True])
def test_every_state_gives_exactly_the_rest(made: Made, drop_last: bool) -> None:
    """States as JSON, after every batch (every third without the last one), onto one rank and onto another number of
    ranks."""
    corpus = made.open()
    with Loader(corpus, replace(CONFIG, drop_last=drop_last)) as loader:
        states, whole = [loader.state_dict()], []
        for batch in batches_left(loader):
            whole.append(batch)
            states.append(json.loads(json.dumps(loader.state_dict())))
    assert len(whole) >= 20
    for done in range(0, len(states), 3 if drop_last else 1):
        state = states[done]
        rest = batches_of(corpus, state=state, drop_last=drop_last)
        assert len(rest) == len(whole) - done
        assert all(same(one, other) for one, other in zip(rest, whole[done:], strict=True))
        ranks = 2 + (done // 3 if drop_last else done) % 3
        parts = [batches_of(corpus, World(r, ranks), state, drop_last=drop_last) for r in range(ranks)]
        for wanted, *together in zip(whole[done:], *parts, strict=True):
            assert sorted(place for part in together for place in real(part)) == sorted(real(wanted))
            pictures = dict(zip(real(wanted), wanted.images, strict=False))
            for part in together:
                for row, place in enumerate(real(part)):
                    assert torch.equal(part.images[row], pictures[place])


def test_the_state_counts_yielded_batches_not_read_ones(made: Made) -> None:
    with Loader(made.url, CONFIG) as loader:
        assert (loader.state_dict()["epoch"], loader.state_dict()["turn"]) == (0, 0)
        iterator = iter(loader)
        next(iterator)
        assert loader.state_dict()["turn"] == 12
        next(iterator)
        assert loader.state_dict()["turn"] == 24
        third = next(iter(loader))  # a new iteration continues, and ends the previous one
        assert loader.state_dict()["turn"] == 36
        with pytest.raises(TagmillError, match="iterate again"):
            next(iterator)
    assert real(third) == real(batches_of(made)[2])


def test_the_end_of_the_epochs_and_rewind(made: Made) -> None:
    with Loader(made.url, CONFIG) as loader:
        first = [real(batch) for batch in batches_left(loader)]
        assert loader.state_dict()["epoch"] == 2
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"all 2 epochs are over.*rewind\(\)"):
                next(iter(loader))
        loader.rewind()
        assert [real(batch) for batch in batches_left(loader)] == first


def test_length_and_classes(made: Made) -> None:
    with Loader(made.url, CONFIG) as loader:
        assert len(loader) == -(-int(made.copies(0).sum()) // 12) == loader.batches_per_epoch
        assert loader.samples_per_epoch == made.copies(0).sum()
        assert loader.num_classes == NUM_LABELS
        assert loader.vocabulary is not None and loader.vocabulary.labels[2].name == "label2"
    lasts = {int(made.copies(epoch).sum()) % 12 for epoch in range(3)}
    with Loader(made.url, replace(CONFIG, epochs=None)) as loader:
        assert len(loader) == -(-int(made.copies(0).sum()) // 12)
        assert {batch.count for batch in islice(loader.endless(), 33)} == {12, *lasts}
    assert Loader(made.url, replace(CONFIG, view=None)).num_classes == 0


def test_the_held_out_split(made: Made) -> None:
    batches = batches_of(made, split="holdout", augment="eval", epochs=1)
    assert sorted(key for b in batches for key in real(b, "keys")) == sorted(made.keys[-9:])


@pytest.mark.parametrize("changes", [{"threads": 1, "readers": 1}, {"threads": 5, "readers": 7}])
def test_the_number_of_threads_does_not_change_a_batch(made: Made, changes: dict[str, int]) -> None:
    assert all(same(a, b) for a, b in zip(batches_of(made), batches_of(made, **changes), strict=True))


def all_threads() -> set[int]:
    """Returns the kernel's numbers of all threads of this process, Python's or not."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def unpinned(threads: set[int]) -> list[int]:
    """Returns those of some threads that may run on several cores."""
    found = []
    for thread in threads:
        with suppress(ProcessLookupError):  # it has just ended
            found += [thread] if len(os.sched_getaffinity(thread)) > 1 else []
    return found


@pytest.mark.parametrize("backend", [*BACKENDS, IN_TURN])
def test_a_pinned_loader_keeps_its_budget_of_cores(made: Made, backend: Any) -> None:
    """Threads of DALI are not Python's: the kernel lists them."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("one core: every thread is on it")
    before = all_threads()
    config = replace(CONFIG, threads=None, readers=None, backend=backend, cores=1, pin=True)
    with Loader(made.url, config) as loader:
        next(iter(loader))
        # Loaders that other tests left open have threads too.
        threads = [thread for thread in threading.enumerate() if thread.native_id not in before]
        ours = [thread for thread in threads if thread.name.startswith("tagmill")]
        kinds = Counter(thread.name.rpartition("_")[0] for thread in ours)
        assert kinds["tagmill-gather"] == kinds["tagmill-batch"] == kinds["tagmill-read"] == 1
        assert kinds["tagmill-decode"] == (backend != "dali")
        for _ in range(200):  # a thread that has just begun pins itself before it works
            if not unpinned(all_threads() - before):
                break
            time.sleep(0.01)
        assert not unpinned(all_threads() - before)
    assert os.sched_getaffinity(0) == allowed


@pytest.mark.parametrize("backend", BACKENDS)
def test_holes_keep_their_turn_and_position(tmp_path: Path, backend: str) -> None:
    clean = make_corpus(tmp_path / "clean", [20, 20])
    broken = {3: picture(3)[:-60], 17: b"<html>", 30: b"\xff\xd8 not a picture \xff\xd9"}
    holed = make_corpus(tmp_path / "holed", [20, 20], replace=broken)
    tar = holed.file(1, ".tar")
    data = bytearray(tar.read_bytes())
    data[data.index(holed.jpegs[25]) + 100] ^= 0x10
    tar.write_bytes(bytes(data))
    changes = {"view": None, "backend": backend, "epochs": 1}
    # Another corpus has another order; the holes must be in the slots of their images.
    with Loader(holed.open(), replace(CONFIG, **changes)) as loader:
        found = list(loader)
        assert loader.meters.as_dict()["holes"] == {"cut": 2, "undecodable": 1, "altered": 1}
        assert "4 holes (2 cut" in loader.report()
    holes = [
        (place, batch.key(row)) for batch in found for row, place in enumerate(real(batch)) if not batch.valid[row]
    ]
    assert sorted(holes) == [(n, holed.keys[n].hex()) for n in (3, 17, 25, 30)]
    assert sorted(place for batch in found for place in real(batch)) == list(range(40))
    for batch in found:
        for row, place in enumerate(real(batch)):
            assert bool(batch.images[row].any()) == (place not in (3, 17, 25, 30))
    intact = {place: image for b in batches_of(clean, **changes) for place, image in zip(real(b), b.images)}
    for batch in found:
        for row, place in enumerate(real(batch)):
            assert not batch.valid[row] or torch.equal(batch.images[row], intact[place])


def test_holes_have_no_labels_and_others_keep_theirs(tmp_path: Path) -> None:
    holed = make_corpus(tmp_path, [24], replace={5: b"\xff\xd8 gone \xff\xd9", 9: b"gone"})
    for batch in batches_of(holed):
        for row, key in enumerate(real(batch, "keys")):
            number = holed.number_of(key)
            wanted = [] if number in (5, 9) else [label for label in holed.labels[number].tolist() if label >= 0]
            assert batch.labels[row].tolist() == wanted


def test_beyond_the_failure_budget_a_run_stops_with_its_reasons(tmp_path: Path) -> None:
    broken = make_corpus(tmp_path, [60], replace=dict.fromkeys(range(0, 60, 2), b"gone"))
    with Loader(broken.open(), CONFIG) as loader:
        with pytest.raises(TagmillError, match=r"21 of \d+ samples are holes.*21 cut|2\d of \d+ samples are holes"):
            list(batches_left(loader))
        assert loader.state_dict()["turn"] == (loader.meters.as_dict()["batches"] - 1) * 12
    assert len(batches_of(broken, failure_budget=0.6, epochs=1)) == 5


@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_a_bad_shard_stops_the_run_without_a_hang(tmp_path: Path, kind: str) -> None:
    damaged = make_corpus(tmp_path, [30, 30])
    tar = damaged.file(1, ".tar")
    if kind == "missing":
        tar.unlink()
    else:
        tar.write_bytes(tar.read_bytes()[:-2048])
    before = set(threading.enumerate())
    with Loader(damaged.open(), CONFIG) as loader, pytest.raises(IntegrityError, match=r"000001\.tar"):
        list(batches_left(loader))
    assert not set(threading.enumerate()) - before


def test_no_threads_are_left(made: Made) -> None:
    before = set(threading.enumerate())
    loader = Loader(made.url, replace(CONFIG, epochs=None))
    iterator = iter(loader)
    next(iterator)
    assert set(threading.enumerate()) - before
    loader.close()
    assert not set(threading.enumerate()) - before
    loader.close()
    for _ in loader:  # a loader that is dropped ends its threads
        break
    del loader, iterator
    gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("backend", [*BACKENDS, IN_TURN])
def test_augmented_images_are_the_same_in_any_world_and_after_any_resume(made: Made, backend: str) -> None:
    options = {"jitter": (0.4, 0.4, 0.4, 0.1), "randaugment": (2, 9), "epochs": 1, "backend": backend}
    with Loader(made.url, replace(CONFIG, **options), World()) as loader:
        first, state = next(iter(loader)), loader.state_dict()
    whole = [first, *batches_of(made, World(), state, **options)]
    assert state["randaugment"] == [2, 9] and state["jitter"] == [0.4, 0.4, 0.4, 0.1]
    pictures = {place: image for batch in whole for place, image in zip(real(batch), batch.images)}
    plain = {
        place: image
        for b in batches_of(made, World(), epochs=1, backend=backend)
        for place, image in zip(real(b), b.images)
    }
    assert plain.keys() == pictures.keys()
    assert sum(not torch.equal(plain[place], pictures[place]) for place in plain) > 0.9 * len(plain)
    for ranks in (2, 3):
        for rank in range(ranks):
            for batch in batches_of(made, World(rank, ranks), **options):
                assert all(torch.equal(pictures[place], image) for place, image in zip(real(batch), batch.images))
                assert not batch.images[batch.count :].any()


def test_mixed_shares_are_the_same_in_any_world(made: Made) -> None:
    """Partners differ: they come from a rank's own batch."""
    shares: dict[int, float] = {}
    for ranks in (1, 2, 3):
        for rank in range(ranks):
            for batch in batches_of(made, World(rank, ranks), mixup=0.3, epochs=1):
                assert batch.mix is not None and (batch.mix.partners[: batch.count] < batch.count).all()
                assert (batch.mix.shares[batch.count :] == 1).all()
                for place, share in zip(real(batch), batch.mix.shares.tolist()):
                    assert batch.count == 1 or shares.setdefault(place, share) == share
    assert len(shares) == int(made.copies(0).sum())


def test_float_output_is_mixed_and_uint8_is_mixed_later(made: Made) -> None:
    for late, early in zip(batches_of(made, mixup=0.3), batches_of(made, mixup=0.3, output="float32"), strict=True):
        wanted = late.normalised("float32", CONFIG.mean, CONFIG.std)
        torch.testing.assert_close(early.images, wanted.images, rtol=2e-6, atol=2e-6)
        assert same(replace(early, images=wanted.images), wanted)
        assert all(torch.equal(one, other) for one, other in zip(late.terms(), early.terms(), strict=True))
        weights = torch.zeros(len(early)).index_add_(0, early.terms().rows, early.terms().weights)
        assert torch.allclose(weights, early.valid.float(), atol=1e-6)


@pytest.mark.parametrize(("output", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_normalised_output(made: Made, output: str, dtype: torch.dtype) -> None:
    plain, normal = batches_of(made)[1], batches_of(made, output=output)[1]
    assert normal.images.dtype == dtype and normal.images.is_contiguous(memory_format=torch.channels_last)
    wanted = plain.normalised(output, CONFIG.mean, CONFIG.std)
    # The backend multiplies and adds, the batch subtracts and multiplies.
    step = 2e-6 if dtype == torch.float32 else 2**-7
    torch.testing.assert_close(normal.images, wanted.images, rtol=step, atol=2e-6)
    assert same(replace(normal, images=wanted.images), wanted)


def test_the_first_number_of_streams_is_kept_if_not_configured(made: Made) -> None:
    with Loader(made.url, replace(CONFIG, streams=None), World(0, 1)) as loader:
        next(iter(loader))
        state = {**loader.state_dict(), "streams": 5}
    rest = batches_of(made, World(0, 2), state, streams=None, batch_size=12)
    wanted = batches_of(made, World(0, 2), state, streams=5)
    assert [real(batch) for batch in rest] == [real(batch) for batch in wanted]


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 3), ("batch_size", 7), ("chunk", 9), ("manifest", "00" * 32), ("version", 99)]
)
def test_a_state_of_another_run_is_refused_by_name(made: Made, field: str, value: object) -> None:
    with Loader(made.url, CONFIG) as loader:
        with pytest.raises(TagmillError, match=f"{field} is"):
            loader.load_state_dict({**loader.state_dict(), field: value})
        with pytest.raises(TagmillError, match="turn 5000 of an epoch of"):
            loader.load_state_dict({**loader.state_dict(), "turn": 5000})
        assert loader.state_dict()["turn"] == 0


def test_even_leaves_ranks_idle_and_warns(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    per_rank = [batches_of(made, World(rank, 3), even=True) for rank in range(3)]
    assert [bool(batches) for batches in per_rank] == [True, True, False]
    assert {len(batch) for batch in per_rank[0]} == {6}
    assert "rank 2 is idle: 2 ranks share the batches evenly" in caplog.text


def test_too_much_memory_raises_an_error_with_a_remedy(made: Made) -> None:
    with pytest.raises(ConfigError, match="set memory_limit to"):
        Loader(made.url, replace(CONFIG, memory_limit=1000))
    with pytest.raises(ConfigError, match="streams"):
        Loader(made.url, CONFIG, World(0, 5))


def test_batches_are_begun_ahead_by_threads_and_memory(made: Made) -> None:
    """As many as all threads decode during one slow image, and no more than fit; the memory is that of the most."""
    config = replace(CONFIG, backend="pillow", batch_size=40, threads=8)
    with Loader(made.url, config, World()) as many:
        assert many._ahead == 20, "8 threads decode 800 images while one takes a hundred times longer"
        least, each = many.memory(ahead=1), many.memory(ahead=2) - many.memory(ahead=1)
        assert many.memory() == pytest.approx(least + 19 * each, rel=1e-3) and each >= 40 * 3 * CONFIG.size**2
    limit = int(least + 4.5 * each)
    with Loader(made.url, replace(config, memory_limit=limit), World()) as few:
        assert few._ahead == 5 and few.memory() <= limit
    with Loader(made.url, replace(config, memory_limit=least), World()) as one:
        assert one._ahead == 1
    with pytest.raises(ConfigError, match=f"set memory_limit to {least:,}"):
        Loader(made.url, replace(config, memory_limit=least - 1), World())


def test_corpora_that_cannot_be_read(made: Made, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        Loader(tmp_path, CONFIG)
    with pytest.raises(CorpusError, match="no view 'other'"):
        Loader(made.url, replace(CONFIG, view="other"))


def test_the_world_is_that_of_torch_distributed_if_it_is_initialised(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Launchers that set no RANK do initialise it."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 2)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    assert Loader(made.url, CONFIG).world == World(2, 3)
    assert Loader(made.url, CONFIG, World(0, 1)).world == World(0, 1)


def test_sources_of_the_world(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Loader(made.url, CONFIG).world == World(1, 2)
    assert Loader(made.url, CONFIG, World(0, 1)).world == World(0, 1)
