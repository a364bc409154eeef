"""BiT's few-shot: BiT-HyperRule on a few training images of each class (Kolesnikov et al. 2019, section 3.4)."""

from dataclasses import replace

from tagmill.shards.progress.protocol import Progress
from tagmill.training.trained.model import Trained
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.few_shot import drawn_shots
from tagmill.transfer.sets.chosen_set import choose
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_pair import check_pair
from tagmill.transfer.sets.single_label import single_labels

FEW_SHOT_FINE_TUNE = "few-shot-fine-tune"


def few_shot_fine_tune(
    trained: Trained,
    train: LabelledSet,
    test: LabelledSet,
    options: FineTuneOptions,
    shots: int,
    work: str,
    *,
    allow_fewer: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Fine-tunes on `shots` images of each class, drawn by `options.seed`, and returns the best classes of each test image. The
    images are those of few-shot where all could be decoded; one that cannot is counted, and not replaced. A step has all images
    equally often, give or take one, where BiT's code draws them with replacement. With `allow_fewer` a class with fewer images
    gives all it has, and `settings` counts these classes.

    Raises ConfigError naming the classes with fewer images otherwise, and what `fine_tune` raises.
    """
    check_pair(train, test)
    one = single_labels(train)
    rows, fewer = drawn_shots(one.labels, train.classes, shots, options.seed, train.where, allow_fewer=allow_fewer)
    part = choose(train, one.places[rows].tolist(), f"({shots} images a class, draw {options.seed})")
    found = fine_tune(trained, part, test, options, work, progress)
    facts = {"shots": shots, "classes_with_fewer_images": fewer}
    return replace(found, protocol=FEW_SHOT_FINE_TUNE, settings={**found.settings, **facts})
