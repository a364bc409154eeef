"""Losses of images with several labels, computed from the (image, label) pairs without dense targets.

Each is the sum over the images of a batch; the trainer divides it by the nominal size of a step. An image whose labels are
unknown adds nothing. With mixup an image has the labels of two, with their shares.

Both have a backward pass of their own, because autograd's would make a tensor of the size of the logits for each operation:
it keeps the logits alone and makes their gradient in place, some rows at a time. Computed in float32, or in float64 where the
logits are.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from tagmill.pipeline import Terms
from tagmill.shards import Vocabulary

CHUNK_BYTES = {"cpu": 4 << 20, "cuda": 64 << 20}
"""Bytes of float32 logits that are taken at a time: what a CPU's caches hold, and enough rows to fill a GPU."""


def softmax_loss(logits: torch.Tensor, terms: Terms, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the softmax cross-entropy with a target of `terms.weights` on each pair, summed over `logits` [b, L].

    With weights of 1/k on an image's k labels it is the loss of Mahajan et al. 2018 and of Singh et al. 2022. Computed as
    the sum of w x (logsumexp - logit). `smoothing` is the share of an image's target that all L labels get in equal parts.
    """
    loss: torch.Tensor = _Softmax.apply(logits, terms, smoothing)
    return loss


def sigmoid_loss(logits: torch.Tensor, terms: Terms, targets: Terms, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the binary cross-entropy of each label, summed over labels and `logits` [b, L]: the upstream loss of BiT, and
    that of CatLIP, whose `batch_mean` divides this sum by the images.

    `targets.weights` are the targets of the pairs, 1 without mixup; those of all other labels are 0. `terms`, with weights of
    1/k, says which images count. Labels are smoothed towards 1/2, by half of `smoothing` on both sides.
    """
    loss: torch.Tensor = _Sigmoid.apply(logits, masses(terms, len(logits)), targets, smoothing)
    return loss


class _Softmax(torch.autograd.Function):
    """The gradient is mass x softmax, less the target."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, terms: Terms, smoothing: float) -> torch.Tensor:
        ctx.save_for_backward(logits, *terms)
        ctx.smoothing = smoothing
        normaliser = torch.cat([torch.logsumexp(part, dim=1) for part in _floats(logits)])
        chosen = logits[terms.rows, terms.ids].to(normaliser.dtype)
        loss = (terms.weights * (normaliser[terms.rows] - chosen)).sum()
        if not smoothing:
            return loss
        mean = torch.cat([part.mean(dim=1) for part in _floats(logits)])
        return (1 - smoothing) * loss + smoothing * (masses(terms, len(logits)) * (normaliser - mean)).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        logits, *pairs = ctx.saved_tensors
        terms = Terms(*pairs)
        mass = (masses(terms, len(logits)) * scale)[:, None]
        gradient = torch.empty_like(logits)
        for into, part, weight in _parts(gradient, logits, mass):
            made = torch.softmax(part, 1, out=into) if part.dtype == into.dtype else torch.softmax(part, 1)
            made.mul_(weight)
            if ctx.smoothing:
                made.sub_(weight * (ctx.smoothing / logits.shape[1]))
            if made is not into:
                into.copy_(made)
        return _subtract(gradient, terms, (1 - ctx.smoothing) * scale), None, None


class _Sigmoid(torch.autograd.Function):
    """The gradient is mass x (sigmoid - smoothing / 2), less the target."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, mass: torch.Tensor, targets: Terms, smoothing: float) -> torch.Tensor:
        ctx.save_for_backward(logits, mass, *targets)
        ctx.smoothing = smoothing
        parts = _floats(logits)
        if smoothing:
            per_image = [softplus(part).sum(dim=1) - smoothing / 2 * part.sum(dim=1) for part in parts]
        else:
            per_image = [softplus(part).sum(dim=1) for part in parts]
        chosen = logits[targets.rows, targets.ids].to(per_image[0].dtype)
        return (mass * torch.cat(per_image)).sum() - (1 - smoothing) * (targets.weights * chosen).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        logits, mass, *pairs = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        for into, part, weight in _parts(gradient, logits, (mass * scale)[:, None]):
            made = torch.sigmoid(part, out=into) if part.dtype == into.dtype else torch.sigmoid(part)
            if ctx.smoothing:
                made.sub_(ctx.smoothing / 2)
            made.mul_(weight)
            if made is not into:
                into.copy_(made)
        return _subtract(gradient, Terms(*pairs), (1 - ctx.smoothing) * scale), None, None, None


def _rows(logits: torch.Tensor) -> int:
    """Returns how many rows are taken at a time."""
    return max(1, CHUNK_BYTES.get(logits.device.type, CHUNK_BYTES["cuda"]) // (4 * logits.shape[1]))


def _floats(logits: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yields the rows in parts, in float32 or float64."""
    kind = torch.promote_types(logits.dtype, torch.float32)
    return (part.to(kind) for part in torch.split(logits, _rows(logits)))


def _parts(
    gradient: torch.Tensor, logits: torch.Tensor, mass: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yields the rows of each in parts, those of the logits in float32 or float64."""
    rows = _rows(logits)
    return zip(torch.split(gradient, rows), _floats(logits), torch.split(mass, rows), strict=True)


def _subtract(gradient: torch.Tensor, terms: Terms, scale: torch.Tensor) -> torch.Tensor:
    """Subtracts the targets at their places. A pair may be there twice, and the sum must not depend on the order of threads:
    on a GPU index_put_ sorts the pairs, and index_add_ does not."""
    values = (-scale * terms.weights).to(gradient.dtype)
    return gradient.index_put_((terms.rows, terms.ids), values, accumulate=True)


def masses(terms: Terms, images: int) -> torch.Tensor:
    """Returns the sum of each image's target [images]: 1 with labels, 0 without, in between where mixup has mixed the two."""
    return terms.weights.new_zeros(images).index_add_(0, terms.rows, terms.weights)


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
