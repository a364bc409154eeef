"""Tests of BiT's few-shot: it is fine-tuning on the drawn images and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.finetune.few_shot_tune import few_shot_fine_tune
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.probes.few_shot import shot_rows
from tagmill.transfer.sets.chosen_set import choose
from tests.transfer.drawn_set import drawn_set
from tests.transfer.finetune.small_tune import SMALL, random_model

TRAIN, TEST = drawn_set(3, 6), drawn_set(3, 4, seed=1)
ONE_STEP = replace(SMALL, scale=0.004, seed=3)


def test_it_is_fine_tuning_on_the_drawn_images_of_each_class(tmp_path: Path) -> None:
    found = few_shot_fine_tune(random_model(), TRAIN, TEST, ONE_STEP, 2, str(tmp_path / "few"))
    labels = np.array([each.labels[0] for each in TRAIN.examples])
    part = choose(TRAIN, shot_rows(labels, 3, 2, 3).tolist(), "by hand")
    assert np.bincount([each.labels[0] for each in part.examples]).tolist() == [2, 2, 2]
    plain = fine_tune(random_model(), part, TEST, ONE_STEP, str(tmp_path / "plain"))
    assert np.array_equal(found.top, plain.top) and found.keys.tolist() == plain.keys.tolist()
    assert found.protocol == "few-shot-fine-tune" and found.settings["shots"] == 2
    assert {**found.settings, "train": 0} == {**plain.settings, "train": 0, "shots": 2, "classes_with_fewer_images": 0}


def test_classes_with_too_few_images_are_named_or_counted(tmp_path: Path) -> None:
    uneven = choose(TRAIN, range(len(TRAIN) - 1), "uneven")
    with pytest.raises(ConfigError, match=r"1 of 3 classes have fewer than 6 training images.*--allow-fewer"):
        few_shot_fine_tune(random_model(), uneven, TEST, ONE_STEP, 6, str(tmp_path))
    found = few_shot_fine_tune(random_model(), uneven, TEST, ONE_STEP, 6, str(tmp_path), allow_fewer=True)
    assert found.settings["classes_with_fewer_images"] == 1 and found.settings["train_images"] == 17
