"""Tests that a run continues from a checkpoint exactly, in another world, and that it does from no other run's."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tagmill.pipeline import World
from tagmill.shards import ConfigError, IntegrityError, Store, TagmillError
from tagmill.shards.vocabulary import Label, Vocabulary
from tagmill.training.checkpoints.layout import read_done, sized, steps_there
from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tagmill.training.run import Run
from tests.training.checkpoints.ranks import on_ranks, sharded_run
from tests.training.checkpoints.small_run import LABELS, Order, begun, network, saved, small_run, state_of, take_steps
from tests.training.whole.worlds import WHOLE


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_run_of_one_process_continues_bit_for_bit(tmp_path: Path, optimiser: str) -> None:
    whole = saved(str(tmp_path / "model"), 6, keep=6, optimiser=optimiser)
    for step in (5, 3, 1):
        shutil.copytree(tmp_path / "model", tmp_path / str(step))
        run = small_run(str(tmp_path / str(step)), network(seed=9), resume=str(step), optimiser=optimiser)
        with begun(run):
            assert (run.step, run.images) == (step, 6 * step)
            assert run.loader.state_dict() == {"epoch": step // 4, "turn": step % 4 * 6, "manifest": "m", "view": "v"}
            take_steps(run, 6 - step)
        assert equal(state_of(run), state_of(whole)) and run.loader.state_dict() == whole.loader.state_dict()


# ------------------------------------------------------------------------------------------------------ Other processes
def save_on(world: World, output: str, kind: str) -> None:
    run = sharded_run(world, output, kind)
    with begun(run) as checkpoints:
        take_steps(run, 3)
        for module in run.model.modules():  # statistics that differ between ranks, as those of images do
            if isinstance(module, torch.nn.BatchNorm1d) and module.running_mean is not None:
                module.running_mean += world.rank
        checkpoints.save()
    whole = state_of(run)
    if world.rank == 0:
        torch.save(whole, f"{output}.pt")


def load_on(world: World, output: str, kind: str) -> None:
    run = sharded_run(world, output, kind, seed=9)
    with begun(run):
        assert run.step == 3
        found = state_of(run)
        wanted = torch.load(f"{output}.pt", weights_only=True)
        assert equal(found, wanted), [name for name in wanted if not torch.equal(found[name], wanted[name])]
        take_steps(run, 1)


@pytest.mark.parametrize(
    ("ranks", "kind", "others"),
    [(2, "fsdp", ((3, "fsdp"), (1, "plain"))), (2, "ddp", ((3, "ddp"),))][: 2 if WHOLE else 1],
)
def test_any_number_of_processes_continues_in_any_manner(
    tmp_path: Path, ranks: int, kind: str, others: tuple[tuple[int, str], ...]
) -> None:
    """The layers' rows are no multiple of 2 or 3, and one layer has fewer rows than there are processes."""
    output = str(tmp_path / "model")
    assert on_ranks(ranks, save_on, output, kind) == [""] * ranks
    done = read_done(Store(output), 3)
    assert done.world == 2 and {name[:5] for name in done.objects if name.endswith("safetensors")} == {"00000", "00001"}
    weights = read_checkpoint_weights(*find_checkpoint(output))
    wanted = torch.load(f"{output}.pt", weights_only=True)
    assert equal(
        {f"model.{name}": value for name, value in weights.items()},
        {name: value for name, value in wanted.items() if name.startswith("model.")},
    )
    for number, other in others:
        assert on_ranks(number, load_on, output, other) == [""] * number


# ------------------------------------------------------------------------------------------------------------- Refusals
@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return saved(str(tmp_path_factory.mktemp("run") / "model"), 4, keep=4)


@pytest.fixture
def copy(made: Run, tmp_path: Path) -> Path:
    shutil.copytree(made.config.output, tmp_path / "model")
    return tmp_path / "model"


def resumed(output: Path, vocabulary: Vocabulary = LABELS, **options: Any) -> Run:
    run = small_run(str(output), **options)
    with begun(run, vocabulary):
        return run


def test_other_labels_and_settings_are_refused(copy: Path) -> None:
    with pytest.raises(TagmillError, match=r"beta2 is 0\.999, this run's is 0\.5"):
        resumed(copy, beta2=0.5)
    other = Vocabulary((*LABELS.labels[:2], Label(2, "z", ("nz",), ("z",))))
    with pytest.raises(TagmillError, match="label 2 is 'c', this run's is 'z'"):
        resumed(copy, other)
    more = Vocabulary((*LABELS.labels, Label(3, "z", ("nz",), ("z",))))
    with pytest.raises(TagmillError, match="--init"):
        resumed(copy, more)


def test_another_network_is_refused_with_the_names_that_differ(copy: Path) -> None:
    wide = torch.nn.Sequential(*network()[:4], torch.nn.Linear(2, 4))
    with pytest.raises(TagmillError, match=r"another network: it has in another shape or type model\.4\.bias"):
        resumed(copy, model=wide)
    with pytest.raises(TagmillError, match=r"another network: it lacks model\.5\.bias"):
        resumed(copy, model=torch.nn.Sequential(*network(), torch.nn.Linear(3, 3)))
    with pytest.raises(
        TagmillError, match=r"another network: it has besides model\.4\.bias, model\.4\.weight, optimiser"
    ):
        resumed(copy, model=network()[:4])


@pytest.mark.parametrize("name", ["done.json", "metadata.json", "00000-0000.safetensors", "vocabulary.json"])
def test_half_a_checkpoint_is_refused_and_another_step_can_be_given(copy: Path, name: str) -> None:
    file = copy / "checkpoints/4" / name
    more = Vocabulary((*LABELS.labels, Label(3, "z", ("nz",), ("z",))))
    labels = more if name == "vocabulary.json" else LABELS  # it is read only where labels differ
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], content[:-1] + bytes([content[-1] ^ 1])):
        file.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="--resume"):
            resumed(copy, labels)
    if name != "done.json":
        file.unlink()
        with pytest.raises(IntegrityError, match="is missing"):
            resumed(copy, labels)
    assert resumed(copy, resume="3").step == 3


def test_a_checkpoint_without_a_record_does_not_exist(copy: Path) -> None:
    (copy / "checkpoints/4/done.json").unlink()
    assert resumed(copy).step == 3 and not (copy / "checkpoints/4").exists()


def test_tensors_that_are_larger_than_their_objects_take_no_memory(copy: Path) -> None:
    """A forged record and forged metadata that fit each other, but not the bytes that are there."""
    folder, store = copy / "checkpoints/4", Store(str(copy))
    metadata = json.loads((folder / "metadata.json").read_text())
    metadata["tensors"]["model.0.weight"] = {"dtype": "F32", "shape": [1 << 50], "parts": [[[0], [1 << 50], "a", "b"]]}
    forge(store, "metadata.json", json.dumps(metadata).encode())
    with pytest.raises(IntegrityError, match=r"tensors of \d+ bytes in objects of \d+"):
        resumed(copy)


def test_a_tensor_that_is_not_where_the_metadata_say_is_refused(copy: Path) -> None:
    folder, store = copy / "checkpoints/4", Store(str(copy))
    metadata = json.loads((folder / "metadata.json").read_text())
    for change in ({"dtype": "F64"}, {"parts": [[[0], [3], "00000-0000.safetensors", "elsewhere"]]}):
        forged = {"tensors": {**metadata["tensors"], "model.4.bias": {**metadata["tensors"]["model.4.bias"], **change}}}
        forge(store, "metadata.json", json.dumps(forged).encode())
        with pytest.raises(TagmillError, match=r"is not as the metadata says|another shape or type"):
            resumed(copy)


def forge(store: Store, name: str, data: bytes) -> None:
    """Replaces an object and its digest in the record."""
    done = read_done(store, 4)
    store.put(f"checkpoints/4/{name}", data)
    store.put("checkpoints/4/done.json", replace(done, objects={**done.objects, name: sized(data)}).json())


def test_checkpoints_of_earlier_versions_are_for_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"old")
    with pytest.raises(TagmillError, match=r"earlier version.*--init .*checkpoint\.pt"):
        resumed(tmp_path)
    assert resumed(tmp_path, resume="never").step == 0


def test_a_step_that_is_not_there_is_refused_with_those_that_are(copy: Path) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint of step 9 .*1, 2, 3, 4"):
        resumed(copy, resume="9")


# -------------------------------------------------------------------------------------------------- The end, the corpus
def test_the_end_moves_with_extend_only(copy: Path) -> None:
    with pytest.raises(TagmillError, match=r"steps is 100, this run's is 120.*--extend"):
        resumed(copy, steps=120)
    assert resumed(copy, steps=120, extend=True).steps == 120
    with pytest.raises(TagmillError, match="end at step 2, before the checkpoint of step 4"):
        resumed(copy, steps=2, extend=True)


def test_the_corpus_may_change_at_the_end_of_an_epoch_only(copy: Path) -> None:
    run = resumed(copy, order=Order("other"))
    assert run.step == 4 and run.loader.state_dict() == {"epoch": 1, "turn": 0, "manifest": "other", "view": "v"}
    with pytest.raises(TagmillError, match=r"manifest is 'm', this run's is 'other'"):
        resumed(copy, order=Order("other"), resume="3")


def test_epochs_of_another_generation_move_the_end(copy: Path) -> None:
    """One of four epochs is over, and those that are left have six steps each instead of four."""
    with_epochs: dict[str, Any] = {"steps": None, "epochs": 25, "extend": True}

    class Longer(Order):
        config = type("Config", (), {"epochs": 25})
        batches_per_epoch = 6

    with pytest.raises(TagmillError, match=r"steps is 100.*--extend"):
        resumed(copy, order=Longer("other"), steps=None, epochs=25)
    assert resumed(copy, order=Longer("other"), **with_epochs).steps == 4 + 24 * 6


# ----------------------------------------------------------------------------------------------------------- Going back
def test_going_back_gives_up_what_came_after_once_a_new_one_is_whole(copy: Path) -> None:
    run = small_run(str(copy), resume="2", keep=4)
    with begun(run) as checkpoints:
        assert steps_there(Store(str(copy))) == [1, 2, 3, 4]
        take_steps(run, 1)
        checkpoints.save()
        checkpoints.wait()
        assert steps_there(Store(str(copy))) == [1, 2, 3]
    assert resumed(copy).step == 3


def test_starting_again_gives_up_all_once_a_new_one_is_whole(copy: Path) -> None:
    run = small_run(str(copy), resume="never", keep=4, beta2=0.5)
    with begun(run) as checkpoints:
        take_steps(run, 9)
        assert steps_there(Store(str(copy))) == [1, 2, 3, 4]
        checkpoints.save()
    assert steps_there(Store(str(copy))) == [9]


def test_the_newest_is_the_one_that_was_written_last(copy: Path) -> None:
    """A run that goes back, and is killed before it has removed what it gave up, continues from its own checkpoint."""
    run = small_run(str(copy), resume="1")
    with begun(run) as checkpoints:
        take_steps(run, 1)
        checkpoints.given_up = set()  # as if killed before
        checkpoints._tidy = lambda done: None  # type: ignore[method-assign]
        checkpoints.save()
    assert steps_there(Store(str(copy))) == [1, 2, 3, 4] and resumed(copy).step == 2
