"""Losses of images with several labels, computed from the (image, label) pairs without dense targets.

Each is the sum over the images of a batch; the trainer divides it by the nominal size of a step. An image whose labels are
unknown adds nothing. With mixup an image has the labels of two, with their shares.
"""

import math

import torch
from torch.nn.functional import softplus

from tagmill.pipeline import Terms
from tagmill.shards import Vocabulary

SIGMOID_BIAS = -10.0
"""Bias of the last layer at the start of training with sigmoids, of thousands of labels nearly all are wrong: BiT's."""
CHUNK_BYTES = 64 << 20  # of float32 logits for which sigmoids are computed at a time


def softmax_loss(logits: torch.Tensor, terms: Terms, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the softmax cross-entropy with a target of `terms.weights` on each pair, summed over `logits` [b, L].

    With weights of 1/k on an image's k labels it is the loss of Mahajan et al. 2018 and of Singh et al. 2022. Computed as
    the sum of w x (logsumexp - logit), which keeps no second [b, L] tensor but the gradient. `smoothing` is the share of
    an image's target that all L labels get in equal parts.
    """
    floats = logits.float()
    normaliser = torch.logsumexp(floats, dim=1)
    loss = (terms.weights * (normaliser[terms.rows] - floats[terms.rows, terms.ids])).sum()
    if not smoothing:
        return loss
    spread = (masses(terms, len(logits)) * (normaliser - floats.mean(dim=1))).sum()
    return (1 - smoothing) * loss + smoothing * spread


def sigmoid_loss(logits: torch.Tensor, terms: Terms, targets: Terms, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the binary cross-entropy of each label, summed over labels and `logits` [b, L]: the upstream loss of BiT.

    `targets.weights` are the targets of the pairs, 1 without mixup; those of all other labels are 0. `terms`, with weights of
    1/k, says which images count. Labels are smoothed towards 1/2, by half of `smoothing` on both sides.
    """
    mass = masses(terms, len(logits))
    rows = max(1, CHUNK_BYTES // (4 * logits.shape[1]))
    loss = logits.new_zeros((), dtype=torch.float32)
    for part, weight in zip(torch.split(logits, rows), torch.split(mass, rows), strict=True):
        floats = part.float()
        per_image = softplus(floats).sum(dim=1)
        if smoothing:
            per_image = per_image - smoothing / 2 * floats.sum(dim=1)
        loss = loss + (weight * per_image).sum()
    chosen = logits[targets.rows, targets.ids].float()
    return loss - (1 - smoothing) * (targets.weights * chosen).sum()


def masses(terms: Terms, images: int) -> torch.Tensor:
    """Returns the sum of each image's target, float32 [images]: 1 with labels, 0 without, in between where mixup has mixed
    the two."""
    return torch.zeros(images, device=terms.weights.device).index_add_(0, terms.rows, terms.weights)


def idf_weights(vocabulary: Vocabulary, images: int) -> torch.Tensor:
    """Returns log(images / (1 + f)) for each label, float32 [L], at least a small number: the inverse document frequencies
    of SuperClass (Huang et al. 2024). `images` is the number of training images, f those that carry the label."""
    counts = torch.tensor([label.images for label in vocabulary.labels], dtype=torch.float32)
    return (math.log(max(2, images)) - torch.log1p(counts)).clamp(min=1e-3)


def weighed(terms: Terms, weights: torch.Tensor, images: int) -> Terms:
    """Divides each image's target among its labels in proportion to `weights` [L]; its sum stays."""
    raw = terms.weights * weights[terms.ids]
    before, after = masses(terms, images), masses(terms._replace(weights=raw), images)
    return terms._replace(weights=raw * (before / after.clamp(min=1e-12))[terms.rows])
