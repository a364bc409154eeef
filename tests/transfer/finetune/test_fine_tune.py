"""Tests fine-tuning as a whole: what it learns, what it repeats bit for bit, and what ends it."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch.nn.functional import cross_entropy

from tagmill.pipeline import EVAL_SHARE, LoaderConfig, World
from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.training.checkpoints.weights import find_checkpoint, read_checkpoint_weights
from tagmill.training.trained.model import Transform
from tagmill.training.trained.source import read_trained
from tagmill.transfer.features.backbone import open_backbone
from tagmill.transfer.features.extract import extract_values
from tagmill.transfer.finetune import fine_tune as subject
from tagmill.transfer.finetune import tuning_steps
from tagmill.transfer.finetune.recipe import Recipe, recipe_of
from tagmill.transfer.finetune.set_images import SetImages, train_batch
from tagmill.transfer.finetune.set_order import SetOrder
from tagmill.transfer.outcome.check import check_outcome
from tagmill.transfer.outcome.outcome import Outcome
from tests.transfer.drawn_set import drawn_set
from tests.transfer.finetune.small_tune import TEST, killed_at, random_model, tuned
from tests.warm.python import called

KILLS = int(os.environ.get("TAGMILL_KILLS", "2"))
PUTS = 21
"""Objects that a run writes: one to try the output, and five for each of four checkpoints."""


def weights(work: Path) -> dict[str, torch.Tensor]:
    """The weights of the only run below a folder."""
    (folder,) = Path(work, "fine-tune").iterdir()
    return read_checkpoint_weights(*find_checkpoint(str(folder)))


def same(one: Outcome, two: Outcome) -> bool:
    """Whether two outcomes are equal in all numbers."""
    arrays = all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("keys", "truth", "top", "groups"))
    return arrays and (one.settings, one.skipped, one.model, one.set) == (two.settings, two.skipped, two.model, two.set)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A run that nothing disturbed."""
    work = tmp_path_factory.mktemp("whole")
    return work, tuned(work)


def test_the_outcome_is_complete_and_names_what_gave_it(whole: tuple[Path, Outcome]) -> None:
    outcome = whole[1]
    check_outcome(outcome)
    kept = [place for place in range(18) if place not in (2, 7)]
    assert outcome.keys.tolist() == [TEST.examples[place].key for place in kept]
    assert outcome.truth.tolist() == [place % 3 for place in kept] and outcome.top.shape == (16, 3)
    assert outcome.groups is not None and outcome.groups[0] == TEST.examples[0].group
    assert sum(outcome.skipped.values()) == 2 and outcome.skipped["missing"] == 1
    assert outcome.protocol == "hyperrule"
    recipe: Any = outcome.settings["recipe"]
    assert recipe["scale"] == 0.024 and recipe["schedule"]["steps"] == 12 and recipe["batch_size"] == 8
    skipped: Any = outcome.settings["train_skipped"]
    assert sum(skipped.values()) == 3 and skipped["missing"] == 2


def test_a_run_that_has_ended_is_not_repeated(whole: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    work, outcome = whole

    def no_step(*_: object) -> None:
        raise AssertionError("a step was taken")

    monkeypatch.setattr(tuning_steps, "take_step", no_step)
    assert same(tuned(work), outcome)


def test_its_folder_is_a_model_that_wants_its_images_as_the_test_had_them(whole: tuple[Path, Outcome]) -> None:
    work, outcome = whole
    trained = replace(random_model(), transform=Transform(64, mean=(9.0, 8.0, 7.0), std=(3.0, 2.0, 1.0)))
    (run,) = Path(work, "fine-tune").iterdir()
    assert read_trained(str(run)).transform == Transform(32, 1.0, squeezed=True)
    other = tuned(work / "other", trained, recipe="yalniz", scale=0.01, batch_size=12)
    found = read_trained(str(work / "other" / "fine-tune" / str(other.settings["run"]))).transform
    assert found == Transform(32, EVAL_SHARE, (9.0, 8.0, 7.0), (3.0, 2.0, 1.0))
    # The features' way of decoding gives the test's predictions.
    logits = extract_values(open_backbone(read_trained(str(run)), outputs="logits", device="cpu"), TEST, threads=1)
    kept = np.flatnonzero(logits.reasons == "")
    assert np.array_equal(logits.values[kept].argmax(axis=1), outcome.top[:, 0])


def test_it_learns_what_the_images_show(tmp_path: Path) -> None:
    train, test = drawn_set(3, 20), drawn_set(3, 20, seed=1)
    found = tuned(tmp_path, train=train, test=test, scale=0.06, batch_size=30, lr=0.03, checkpoint_every=100)
    right = int((found.top[:, 0] == found.truth).sum())
    # 35 or more of 60 by guessing among three classes: 5e-5, by the binomial distribution
    assert right >= 35


def test_seeds_sets_and_models_have_runs_of_their_own(tmp_path: Path) -> None:
    one, train = {"scale": 0.002}, drawn_set(3, 10, seed=2)
    made = [tuned(tmp_path, **one), tuned(tmp_path, random_model(seed=1), **one), tuned(tmp_path, seed=1, **one)]
    made.append(tuned(tmp_path, train=train, **one))
    assert len({each.settings["run"] for each in made}) == 4 == len([*(tmp_path / "fine-tune").iterdir()])


def moments() -> list[int]:
    """After how many objects a run is killed: in the first checkpoint, in the third, and then at others."""
    return [*dict.fromkeys([3, 13, *range(PUTS)])][:KILLS]


@pytest.mark.parametrize("put", moments())
def test_a_run_that_is_killed_and_started_again_ends_the_same(
    whole: tuple[Path, Outcome], tmp_path: Path, put: int
) -> None:
    process = called(tmp_path / "call", killed_at, str(tmp_path), put)
    assert process.wait(200) == -signal.SIGKILL and (tmp_path / "killed").exists()
    assert same(tuned(tmp_path), whole[1])
    (run,) = (tmp_path / "fine-tune").iterdir()
    undisturbed = read_checkpoint_weights(*find_checkpoint(str(whole[0] / "fine-tune" / run.name)))
    for name, value in weights(tmp_path).items():
        assert torch.equal(value, undisturbed[name]), name


def test_a_run_that_diverges_ends_without_an_outcome_and_saves_nothing_after_it(tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match=r"diverged|not finite") as raised:
        tuned(tmp_path, lr=1e30)
    assert "lower" in raised.value.remedy
    with pytest.raises(TagmillError, match=r"diverged|not finite"):
        tuned(tmp_path, lr=1e30)  # from the last good checkpoint, if there is one


def test_sets_of_which_no_image_can_be_used_are_refused(tmp_path: Path) -> None:
    bad = drawn_set(2, 6, undecodable=range(12))
    with pytest.raises(ConfigError, match="no training image can be used: 12"):
        tuned(tmp_path, train=bad, test=drawn_set(2, 2, seed=1))
    with pytest.raises(ConfigError, match="no test image can be used"):
        tuned(tmp_path, train=drawn_set(2, 6), test=bad, scale=0.002, checkpoint_every=1)


def test_a_transformer_and_random_resized_crops(tmp_path: Path) -> None:
    trained = random_model("test_vit", dynamic_img_size=False)
    found = tuned(tmp_path, trained, recipe="yalniz", scale=0.03, batch_size=12)
    assert found.protocol == "fine-tune" and found.settings["network_args"] == {
        "dynamic_img_size": False,
        "img_size": 32,
    }
    assert len(found.keys) == 16


def test_more_processes_than_a_step_has_images_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "begin_processes", lambda *_: (World(0, 5), "cpu"))
    with pytest.raises(ConfigError, match=r"steps of 8 images .* batch normalisation on 5 processes.*fewer processes"):
        tuned(tmp_path)
    with pytest.raises(ConfigError, match="steps of 4 images on 5 processes"):
        tuned(tmp_path, random_model("test_vit"), batch_size=4)


def test_a_model_with_other_weights_than_its_network_is_refused(tmp_path: Path) -> None:
    trained = random_model()
    with pytest.raises(TagmillError, match="do not fit"):
        tuned(tmp_path, replace(trained, network="test_vit"))
    assert not Store(str(tmp_path)).exists("fine-tune")


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_a_plain_loop_of_torch_learns_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixup: float
) -> None:
    recipes = list[Recipe]()

    def mixing(*given: Any) -> Recipe:
        recipes.append(replace(recipe_of(*given), mixup=mixup))
        return recipes[-1]

    monkeypatch.setattr(subject, "recipe_of", mixing)
    train, trained = drawn_set(3, 8), random_model()
    tuned(tmp_path, trained, train=train, batch_size=10, lr=0.01, checkpoint_every=50)

    model: Any = timm.create_model("test_resnet", num_classes=3)
    head = {"fc.weight": torch.zeros(3, model.num_features), "fc.bias": torch.zeros(3)}
    model.load_state_dict({**trained.weights, **head})
    model = model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    order = SetOrder(LoaderConfig(batch_size=10), 24, train.digest, 0)
    with SetImages(train, 32, threads=1) as images:
        for step in range(12):
            # 500 x 0.024 steps, a warm-up of 100 x 0.024, and the last steps before a drop 200, 300 and 400 x 0.024
            lr = 0.01 * step / 2 if step < 2 else 0.01 / 10 ** sum(last < step for last in (5, 7, 10))
            batch = train_batch(images, order.turns(step), recipes[0], 0, step).batch
            pixels = (batch.images.float() - torch.tensor(LoaderConfig.mean).view(1, 3, 1, 1)) / torch.tensor(
                LoaderConfig.std
            ).view(1, 3, 1, 1)
            target = torch.tensor([batch.labels[row].item() for row in range(10)])
            share, other = 1.0, torch.arange(10)
            if batch.mix is not None:
                share, other = batch.mix.shares[0].item(), batch.mix.partners
            logits = model(share * pixels + (1 - share) * pixels[other])
            loss = share * cross_entropy(logits, target) + (1 - share) * cross_entropy(logits, target[other])
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert (recipes[0].mixup > 0) == (mixup > 0)
    for name, value in weights(tmp_path).items():
        assert torch.allclose(value, model.state_dict()[name], rtol=1e-3, atol=1e-5), name
