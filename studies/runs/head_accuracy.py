"""How often a network's own last layer is right, on held-out and on training images of a view."""

from dataclasses import replace
from typing import Any, Literal, cast

import torch

from tagmill.pipeline import Loader
from tagmill.shards import Corpus, Vocabulary
from tagmill.training.config.train import TrainConfig
from tagmill.training.metrics.accuracy import Tally
from tagmill.training.metrics.evaluation import best_labels
from tagmill.training.trained.model import Trained

MOST_TRAINING_IMAGES = 10_000  # that accuracy on training images is counted on: the first ones of an epoch


def tallied(
    trained: Trained, config: TrainConfig, view: str, split: Literal["train", "holdout"], most: int | None = None
) -> dict[str, Any]:
    """Returns the accuracies of a network on the images of a split, as `Tally.result` has them, with the labels of a view;
    empty where no image has a label. `most`: images to count on; the same for views that have the same images."""
    device = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    network = trained.build().to(device)
    seeing = replace(config, view=view, epochs=None)
    reading = replace(seeing.loader_config("holdout", device), split=split, restart=True)
    corpus = Corpus.open(config.corpus, reading.cache_folder())
    seen = 0
    with Loader(corpus, reading) as loader, torch.no_grad():
        vocabulary = cast(Vocabulary, loader.vocabulary)
        tally = Tally(len(vocabulary), device)
        for batch in loader:
            moved = batch.to(device, non_blocking=True)
            tally.add(best_labels(network, moved, seeing), moved.labels)
            tally.add_holes(moved.count - moved.valid.sum())
            seen += batch.filled
            if most is not None and seen >= most:
                break
    return tally.result(vocabulary)


def head_measures(trained: Trained, config: TrainConfig, view: str) -> dict[str, float]:
    """Returns accuracies on the held-out images with the labels of a view: `head_top1`, `head_mean_class`, and `head_tail`, the
    mean over the third of the classes with the fewest training images. Those that no image decides are missing."""
    found = tallied(trained, config, view, "holdout")
    if not found:
        return {}
    measured = {"head_top1": found["top1"], "head_mean_class": found["mean_class_accuracy"]}
    tail = found.get("labels", {}).get("tail", {}).get("mean_class_accuracy")
    return measured if tail is None else {**measured, "head_tail": tail}


def training_measures(trained: Trained, config: TrainConfig, base_view: str) -> dict[str, float]:
    """Returns accuracies on training images: `train_top1` with the labels that were trained on, and `train_top1_original` with
    those of the base view, which has the same images and labels that were not replaced."""
    own = tallied(trained, config, config.view, "train", MOST_TRAINING_IMAGES)
    base = own if base_view == config.view else tallied(trained, config, base_view, "train", MOST_TRAINING_IMAGES)
    return {"train_top1": own["top1"], "train_top1_original": base["top1"]} if own and base else {}


def validation_measures(trained: Trained, config: TrainConfig, view: str) -> dict[str, float]:
    """Returns `validation_top1`, accuracy on the training samples of a view that no run learns from."""
    found = tallied(trained, config, view, "train")
    return {"validation_top1": found["top1"]} if found else {}
