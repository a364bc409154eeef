"""The accuracy of a model on held-out images, exact over all processes."""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn

from tagmill.pipeline import Batch, Loader, LoaderConfig
from tagmill.shards import Vocabulary
from tagmill.training.config.train import TrainConfig


def scores(model: nn.Module, images: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """Returns the logits [b, L] of normalised images, in the precision of the configuration."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        return cast(torch.Tensor, model(images))


def batch_scores(model: nn.Module, batch: Batch, config: TrainConfig) -> torch.Tensor:
    """Returns the logits [b, L] of a batch of uint8 images, normalised on its device."""
    output = "bfloat16" if config.precision == "bf16" else "float32"
    return scores(model, batch.normalised(output, LoaderConfig.mean, LoaderConfig.std).images, config)


@torch.inference_mode()
def evaluate(model: nn.Module, config: TrainConfig, loader: Loader, device: str) -> dict[str, Any]:
    """Computes the accuracy on the images of `loader`; empty if none has a label.

    An image is right if its best label (top-5: one of its best five) is among its own; images without labels do not
    count. `mean_class_accuracy`: the share of right images of each label that occurs, averaged. `majority`: the share
    with the commonest label of the training images (lowest id among equals). `chance`: that of a random label, mean k / L.
    """
    model.eval()
    vocabulary = cast(Vocabulary, loader.vocabulary)
    carried, right = torch.zeros(2, len(vocabulary), dtype=torch.int64, device=device)
    sums = torch.zeros(4, dtype=torch.int64, device=device)  # images with labels, right in 1, right in 5, holes
    with loader:
        for batch in (batch.to(device, non_blocking=True) for batch in loader):
            best = batch_scores(model, batch, config).topk(min(5, len(vocabulary))).indices
            rows, ids, _ = batch.labels.terms()
            hits = torch.zeros_like(best).index_add_(0, rows, (best[rows] == ids[:, None]).long())
            carried.index_add_(0, ids, torch.ones_like(ids))
            right.index_add_(0, ids, hits[rows, 0])
            labelled, holes = batch.labels.offsets.diff() > 0, batch.count - batch.valid.sum()
            sums += torch.stack([labelled.sum(), hits[:, 0].sum(), hits.any(1).sum(), holes])
    totals = torch.cat([sums, carried, right])
    if dist.is_initialized():
        dist.all_reduce(totals)
    (pictures, top1, top5, lost), (carried, right) = totals[:4].tolist(), totals[4:].double().cpu().chunk(2)
    if not pictures:
        return {}
    commonest = max(vocabulary.labels, key=lambda label: (label.images, -label.id))
    per_class = (right / carried)[carried > 0].mean().item()
    accuracy = {"top1": top1 / pictures, "top5": top5 / pictures, "mean_class_accuracy": per_class}
    baselines = {"majority": carried[commonest.id].item() / pictures, "majority_label": commonest.name}
    baselines["chance"] = carried.sum().item() / pictures / len(vocabulary)
    return {**accuracy, **baselines, "evaluated": {"pictures": pictures, "holes": lost}}
