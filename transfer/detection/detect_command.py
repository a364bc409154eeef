"""`tagmill transfer detect`: trains a detector over a pretrained network and evaluates it on a set in COCO's format."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
import tyro

from tagmill.shards import ConfigError, Store
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Between, Count, CountOrZero, Seconds
from tagmill.shards.terminal.safe_text import ERROR_CELLS, safe_text
from tagmill.transfer.command.ranks import one_process
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.box_errors import BoxErrors
from tagmill.transfer.detection.coco_set import open_coco
from tagmill.transfer.detection.detect_run import DetectorTask, run_detection
from tagmill.transfer.detection.detection_outcome import DetectionOutcome
from tagmill.transfer.detection.detection_page import DETECTION_PAGE, boxed_images, detection_page
from tagmill.transfer.detection.detectors import ImageSides, Kind, Weight
from tagmill.transfer.features.backbone import read_model
from tagmill.transfer.outcome.canonical import canonical_json

Rate = Seconds  # above 0
Side = Annotated[int, Between(32)]


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """The network, the two sets, and how the detector is trained."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint, .safetensors file (a path or a URL), or timm:NAME."""
    train: str
    """Annotations to train on: a JSON file in COCO's format, path or URL."""
    train_images: str
    """Folder of the images to train on, path or URL."""
    val: str
    """Annotations to evaluate on, with the same categories."""
    val_images: str
    """Folder of the images to evaluate on."""
    output: str
    """Folder or URL for the detector, detection.json and detection.html; the same command continues what was stopped there."""
    network: str | None = None
    """Name of the network in timm, for a .safetensors file that does not say it."""
    detector: Kind = "faster-rcnn"
    """Kind of detector; mask-rcnn needs masks."""
    size: Weight = "standard"
    """Size of the detector's own layers; light suits small images and a CPU."""
    random: bool = False
    """Use random weights with measured batch statistics instead of the trained ones, to compare with."""
    epochs: Count | None = None
    """Epochs of training; by default 26, of RetinaNet 30, with drops of the rate at the same shares."""
    batch_size: Count = 16
    """Images of a step."""
    lr: Rate | None = None
    """Learning rate; by default 0.02 for 16 images, of RetinaNet 0.08 for 256, in proportion to the batch."""
    warmup_steps: CountOrZero = 1000
    """Steps of the warm-up, at most an epoch."""
    short_side: Side = 800
    """Pixels of the short side that images are scaled to."""
    long_side: Side = 1333
    """Most pixels of the long side."""
    seed: CountOrZero = 0
    """Seed of new weights, of the order of images and of mirroring."""
    save_every: Count = 500
    """Steps between two saved states."""
    errors_shown: Annotated[int, Between(0, 200)] = 24
    """Images with errors that the page shows, small and with boxes; give 0 where images show people."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the detector; auto is a GPU if there is one."""


DETECT_COMMAND = CommandLine(
    "tagmill transfer detect",
    "Train a detector over a pretrained network and evaluate it on a set in COCO's format.",
    (DetectOptions, JsonOutput),
)


def detect_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer detect` command line. Raises TagmillError."""
    chosen, shown = DETECT_COMMAND.parse(arguments)
    one_process("tagmill transfer detect")
    cuda = chosen.device != "cpu" and torch.cuda.is_available()
    if chosen.device == "cuda" and not cuda:
        raise ConfigError("device cuda, but torch sees no GPU", "transfer", "give --device cpu, or check nvidia-smi")
    task = DetectorTask(
        detector=chosen.detector,
        weight=chosen.size,
        sides=ImageSides(chosen.short_side, chosen.long_side),
        batch=chosen.batch_size,
        epochs=chosen.epochs,
        rate=chosen.lr,
        warmup_steps=chosen.warmup_steps,
        seed=chosen.seed,
        random=chosen.random,
    )
    masks = chosen.detector == "mask-rcnn"
    trained = read_model(chosen.model, chosen.network)
    train = open_coco(chosen.train, chosen.train_images, masks=masks)
    val = open_coco(chosen.val, chosen.val_images, masks=masks)
    errors, store = BoxErrors(len(val.stored.classes), chosen.errors_shown), Store(chosen.output)
    with progress_shown() as progress:
        outcome = run_detection(
            trained,
            train,
            val,
            task,
            store,
            progress,
            device="cuda" if cuda else "cpu",
            save_every=chosen.save_every,
            errors=errors,
        )
        store.put(DETECTION_PAGE, detection_page(outcome, boxed_images(errors.images(), val)))
    if shown.json:
        sys.stdout.write(canonical_json(asdict(outcome)).decode())
    else:
        sys.stdout.write("\n".join([*_lines(outcome), f"{chosen.output.rstrip('/')}/{DETECTION_PAGE}", ""]))


def _lines(outcome: DetectionOutcome) -> list[str]:
    """Returns the figures, and how many images and annotations were left out."""
    kinds = {"boxes": outcome.boxes, "masks": outcome.masks}
    lines = [_figures_in_words(kind, found) for kind, found in kinds.items() if found is not None]
    for what, reasons in outcome.skipped.items():
        for reason, count in reasons.items():
            lines.append(f"left out, {what.replace('_', ' ')}: {count:,}: {safe_text(reason, ERROR_CELLS)}")
    return [f"{outcome.detector} on {outcome.images:,} images of {safe_text(outcome.val_set, 80)}", *lines]


def _figures_in_words(kind: str, found: AveragePrecision) -> str:
    figures = {"AP": found.ap, "AP50": found.ap50, "AP75": found.ap75}
    shown = "  ".join(f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in figures.items())
    return f"{kind}  {shown}"
