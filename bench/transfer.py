"""Features/s of `tagmill transfer` from image files, beside a plain loop of timm over images that are decoded already (as timm
has them, and in channels_last memory), and beside timm's usual validation loop (`create_dataset`, `create_loader`, workers).

python bench/transfer.py [--images DIR] [--network NAME] [--side N] [--batch N] [--rounds N] [--quick] [--out FILE.json]

The target is 0.95 of the plain loop: what reading, decoding and keeping order may cost. Weights are random. `decoding alone` is
what `tagmill transfer` does before the network: where both share the cores, it has at most 1 / (1 / network + 1 / decoding).
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from timm.data import create_dataset, create_loader

from tagmill.bench import measure
from tagmill.training.trained.model import Transform
from tagmill.transfer.features.backbone import Backbone, open_backbone
from tagmill.transfer.features.decoded import decoded_batches
from tagmill.transfer.features.extract import extract
from tagmill.transfer.features.feature_parts import PartLayout
from tagmill.transfer.features.random_network import architecture
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import open_set

US = "tagmill"
CLASSES = 4


def class_folders(images: Sequence[Path], folder: Path) -> LabelledSet:
    """Copies images into class folders, which both programs read."""
    for place, image in enumerate(images):
        target = folder / f"class-{place % CLASSES}" / f"{place:06d}.jpg"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(image.read_bytes())
    return open_set(str(folder))


def untrained(network: str, side: int) -> Backbone:
    """Returns a backbone with the weights that timm begins with."""
    torch.manual_seed(0)
    like = architecture(network)
    weights = like.fresh().state_dict()
    return open_backbone(replace(like, weights=weights, transform=replace(like.transform or Transform(), size=side)))


def decoded_images(backbone: Backbone, labelled_set: LabelledSet, batch: int) -> list[torch.Tensor]:
    """Returns normalised batches [batch, 3, side, side] on the device, in timm's usual memory format."""
    places = range(len(labelled_set))
    chunks = [places[start : start + batch] for start in range(0, len(places), batch)]
    transform = backbone.transform
    found = decoded_batches(labelled_set, chunks, transform)
    floats = (each.batch.normalised("float32", transform.mean, transform.std).images for each in found)
    return [each.contiguous(memory_format=torch.contiguous_format).to(backbone.device) for each in floats]


@torch.inference_mode()
def plain_features(network: Any, images: Sequence[torch.Tensor], where: torch.memory_format) -> torch.Tensor:
    """Returns the features of images that are decoded already, by nothing but timm: [n, d]."""
    found = (network.forward_features(each.contiguous(memory_format=where)) for each in images)
    return torch.cat([network.forward_head(each, pre_logits=True).cpu() for each in found])


def validation_loader(backbone: Backbone, folder: Path, batch: int, workers: int) -> Any:
    """Returns the loader that timm's `validate.py` makes of an image folder; its workers stay from round to round."""
    transform = backbone.transform
    return create_loader(
        create_dataset("", str(folder)),
        input_size=(3, transform.size, transform.size),
        batch_size=batch,
        use_prefetcher=False,
        interpolation="bilinear",
        mean=tuple(value / 255 for value in transform.mean),
        std=tuple(value / 255 for value in transform.std),
        crop_pct=transform.share,
        num_workers=workers,
    )


def cases(labelled_set: LabelledSet, folder: Path, backbone: Backbone, batch: int) -> dict[str, Callable[[], float]]:
    """Returns the cases: each computes the features of the whole set, and returns images/s."""
    count, cores = len(labelled_set), len(os.sched_getaffinity(0))
    images = decoded_images(backbone, labelled_set, batch)
    loader = validation_loader(backbone, folder, batch, cores)

    def rate(work: Callable[[], object]) -> Callable[[], float]:
        def once() -> float:
            begun = time.perf_counter()
            work()
            return count / (time.perf_counter() - begun)

        return once

    def validated() -> torch.Tensor:
        sent = (each.to(backbone.device) for each, _ in loader)
        return torch.cat([plain_features(backbone.network, [each], torch.contiguous_format) for each in sent])

    def decoded_alone() -> None:
        places = range(count)
        for _ in decoded_batches(labelled_set, (places[at : at + batch] for at in places[::batch]), backbone.transform):
            pass

    def plain(where: torch.memory_format) -> Callable[[], torch.Tensor]:
        return lambda: plain_features(backbone.network, images, where)

    return {
        US: rate(lambda: extract(backbone, labelled_set, layout=PartLayout(batch=batch))),
        "tagmill, decoding alone": rate(decoded_alone),
        "timm, decoded images": rate(plain(torch.contiguous_format)),
        "timm, decoded, channels_last": rate(plain(torch.channels_last)),
        "timm, validation loop": rate(validated),
    }


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--network", default="tf_efficientnet_lite0", help="name in timm")
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--batch", type=int, default=8, help="images the network gets at a time, in every case")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    paths = measure.pictures(options.images, 64 if options.quick else 512)
    with tempfile.TemporaryDirectory() as folder:
        labelled_set, backbone = class_folders(paths, Path(folder)), untrained(options.network, options.side)
        todo = cases(labelled_set, Path(folder), backbone, options.batch)
        for case in todo.values():
            case()
        runs = measure.alternate(todo, 2 if options.quick else options.rounds)
    measure.conclude("transfer", "images/s", runs, US, options.out)


if __name__ == "__main__":
    main()
