"""Few-shot: a few training images of each class. big_vision's ridge on features, and the images that BiT fine-tunes on."""

from collections.abc import Sequence

import numpy as np

from tagmill.shards import ConfigError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.probe_input import Places, ProbeInput, predictions
from tagmill.transfer.probes.ridge import fit_ridge
from tagmill.transfer.sets.labelled_set import SetClass

FEW_SHOT = "few-shot"
SHOTS = (1, 5, 10, 25)  # big_vision configs/common_fewshot.py
SHOT_SEEDS = (0, 1, 2)
SHOT_L2 = 2.0**10
_MOST_NAMED = 5


def few_shot(data: ProbeInput, shots: int, seed: int, l2: float = SHOT_L2, allow_fewer: bool = False) -> Outcome:
    """Returns the outcome of big_vision's few-shot ridge with `shots` training images a class. With `allow_fewer` a class with
    fewer images gives all it has, and `settings` counts these classes. Raises ConfigError naming them otherwise."""
    if l2 <= 0:
        raise ConfigError(f"l2 = {l2}", FEW_SHOT, "give a number above 0")
    classes = data.train.classes
    rows, fewer = drawn_shots(data.train.labels, classes, shots, seed, data.set, allow_fewer=allow_fewer)
    ridge = fit_ridge(data.train.values[rows], data.train.labels[rows], len(classes), l2)
    settings = {
        "shots": shots,
        "seed": seed,
        "l2": l2,
        "images_learned_from": len(rows),
        "classes_with_fewer_images": fewer,
        "source": "big_vision evaluators/fewshot_lsr.py and configs/common_fewshot.py, verified; float64 here, float32 there",
    }
    return data.outcome(FEW_SHOT, predictions(data.test.values, ridge.scores, data.missing), settings)


def drawn_shots(
    labels: Places, classes: Sequence[SetClass], shots: int, seed: int, where: str, *, allow_fewer: bool = False
) -> tuple[Places, int]:
    """Returns `shot_rows`, and how many classes have fewer images than `shots`. Raises ConfigError naming these, unless with
    `allow_fewer`; `where` is for the message."""
    rows = shot_rows(labels, len(classes), shots, seed)
    fewer = np.flatnonzero(np.bincount(labels[rows], minlength=len(classes)) < shots)
    if len(fewer) and not allow_fewer:
        raise _too_few(classes, shots, fewer, where)
    return rows, len(fewer)


def shot_rows(labels: Places, classes: int, shots: int, seed: int) -> Places:
    """Returns the places of at most `shots` images of each class, class after class: for one seed those of fewer shots are
    among those of more. big_vision draws the same ones from the same order of images. BiT's few-shot fine-tunes on so many
    images a class too; its own draw is not reproduced. Raises ConfigError for shots below 1."""
    if shots < 1:
        raise ConfigError(f"shots = {shots}", FEW_SHOT, "give 1 or more")
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.permutation(np.flatnonzero(labels == place))[:shots] for place in range(classes)])


def _too_few(classes: Sequence[SetClass], shots: int, fewer: Places, where: str) -> ConfigError:
    named = _names([classes[place] for place in fewer[:_MOST_NAMED]])
    more = f" and {len(fewer) - _MOST_NAMED:,} more" if len(fewer) > _MOST_NAMED else ""
    what = f"{len(fewer):,} of {len(classes):,} classes have fewer than {shots} training images: {named}{more}"
    return ConfigError(what, where, "give fewer shots, or --allow-fewer to take all that there are")


def _names(classes: Sequence[SetClass]) -> str:
    return ", ".join(safe_text(found.name) for found in classes)
