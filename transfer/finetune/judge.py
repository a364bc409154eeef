"""What a fine-tuned network says of a test set."""

from collections import Counter
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from tagmill.shards import ConfigError, TagmillError
from tagmill.shards.arrays import Int64s
from tagmill.shards.progress.protocol import Progress
from tagmill.training.metrics.evaluation import judged, scores
from tagmill.training.run import StepRun
from tagmill.transfer.finetune.recipe import Recipe
from tagmill.transfer.finetune.set_images import SetImages, count_reasons, eval_windows
from tagmill.transfer.sets.labelled_set import LabelledSet

BATCH = 64  # images; fixed, because the last bits of a score may depend on it
TOP = 5


class Judgement(NamedTuple):
    """The classes of n test images."""

    keys: npt.NDArray[np.str_]  # [n]
    truth: Int64s  # [n]
    top: Int64s  # [n, min(5, classes)], best first; of equal scores the class that comes first
    skipped: dict[str, int]  # images left out, by reason
    groups: npt.NDArray[np.str_]  # [n]


def judge(run: StepRun, images: SetImages, test: LabelledSet, recipe: Recipe, shown: Progress) -> Judgement:
    """Returns the best classes of the images of a test set, each with one class. Raises TagmillError for scores that are not
    finite, and ConfigError if no image can be used."""
    shown.stage("judge", len(test))
    kept, best, skipped = list[int](), list[torch.Tensor](), Counter[str]()
    top = min(TOP, len(test.classes))
    with torch.no_grad(), judged(run.model):
        for start in range(0, len(test), BATCH):
            places = range(start, min(start + BATCH, len(test)))
            found = images.batch(places, partial(eval_windows, recipe))
            batch = found.batch.to(run.device).normalised("float32", run.mean, run.std)
            logits = scores(run.model, batch.images, run.config).float()[batch.valid]
            if not logits.isfinite().all():
                raise TagmillError(
                    "scores that are not finite", test.where, "give a lower --fine-tune-lr; there is no outcome"
                )
            best.append(logits.sort(dim=1, descending=True, stable=True).indices[:, :top].cpu())
            kept += [place for place, reason in zip(places, found.reasons, strict=True) if not reason]
            count_reasons(skipped, found, [True] * len(places))
            shown.advance(len(places))
    if not kept:
        raise ConfigError("no test image can be used", test.where, "look at the files of the set")
    examples = [test.examples[place] for place in kept]
    return Judgement(
        np.array([example.key for example in examples]),
        np.array([example.labels[0] for example in examples], np.int64),
        torch.cat(best).numpy(),
        dict(sorted(skipped.items())),
        np.array([example.group or example.key for example in examples]),
    )
