"""The loss of a constant guess, which a model that learns something falls below."""

import math

from tagmill.pipeline import Loader
from tagmill.shards import Vocabulary
from tagmill.training.config.train import TrainConfig


def constant_guess_loss(config: TrainConfig, loader: Loader) -> float | None:
    """Returns the mean loss of an image if every image got the same scores, the best ones for the labels' frequencies. None
    where it is not known: labels without counts, weights of labels.

    The frequencies are those of the corpus. Where a view repeats images, the training has others, and a softmax's guess is
    taken to be that of equal frequencies, which is the largest.
    """
    vocabulary = loader.vocabulary
    if vocabulary is None or not any(label.images for label in vocabulary.labels) or config.label_weights != "equal":
        return None
    train = loader.corpus.column("samples")[loader.space.shards.start : loader.space.shards.stop]
    repeated = loader.samples_per_epoch > int(train.sum())
    if config.loss == "softmax":
        return math.log(len(vocabulary)) if repeated else _softmax(vocabulary, config.smoothing)
    if config.loss == "sigmoid" and not repeated:
        return _sigmoid(vocabulary, loader.samples_per_epoch, config.smoothing)
    return None


def _softmax(vocabulary: Vocabulary, smoothing: float) -> float:
    total = sum(label.images for label in vocabulary.labels)
    spread = smoothing / len(vocabulary)
    shares = ((1 - smoothing) * label.images / total + spread for label in vocabulary.labels)
    return -sum(share * math.log(share) for share in shares if share > 0)


def _sigmoid(vocabulary: Vocabulary, images: int, smoothing: float) -> float:
    loss = 0.0
    for label in vocabulary.labels:
        share = (1 - smoothing) * min(1.0, label.images / max(1, images)) + smoothing / 2
        for part in (share, 1 - share):
            loss -= part * math.log(part) if part > 0 else 0.0
    return loss
