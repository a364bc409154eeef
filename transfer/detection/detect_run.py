"""Trains a detector over a pretrained network and evaluates it: one run, which goes on where it was stopped."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import nn

from tagmill.shards import ConfigError, Store, TagmillError
from tagmill.shards.progress.protocol import Progress
from tagmill.training.step.seeds import begin_randomness
from tagmill.training.trained.model import Trained
from tagmill.transfer.detection.average_precision import average_precision
from tagmill.transfer.detection.box_errors import BoxErrors
from tagmill.transfer.detection.coco_set import CocoSet
from tagmill.transfer.detection.detection_batches import batches_in_order, training_batches
from tagmill.transfer.detection.detection_checkpoint import DetectorState, load_state, save_state
from tagmill.transfer.detection.detection_outcome import DetectionOutcome, write_detection
from tagmill.transfer.detection.detection_schedule import (
    MOMENTUM,
    RECIPES,
    WEIGHT_DECAY,
    DetectionSchedule,
    detection_schedule,
)
from tagmill.transfer.detection.detectors import ImageSides, Kind, Weight, build_detector, check_detector_images
from tagmill.transfer.detection.pyramid import at_any_size
from tagmill.transfer.detection.targets import Target, evaluation_target
from tagmill.transfer.features.random_network import random_network
from tagmill.transfer.outcome.canonical import canonical_json

VERSION = 1  # of what a run computes: a saved state of another version is refused
MASK_SHARE = 0.5  # from which on a pixel belongs to a detection's mask, as torchvision has it


@dataclass(frozen=True, kw_only=True)
class DetectorTask:
    """What is trained, and how. Values that are None are taken from the published recipe."""

    detector: Kind = "faster-rcnn"
    weight: Weight = "standard"
    sides: ImageSides = ImageSides(800, 1333)  # noqa: RUF009  # frozen
    batch: int = 16
    epochs: int | None = None
    rate: float | None = None
    warmup_steps: int = 1000
    seed: int = 0
    random: bool = False  # a random network instead of the trained one


def run_detection(
    trained: Trained,
    train: CocoSet,
    val: CocoSet,
    task: DetectorTask,
    store: Store,
    progress: Progress,
    *,
    device: str = "cpu",
    save_every: int = 500,
    errors: BoxErrors | None = None,
) -> DetectionOutcome:
    """Trains on one set, evaluates on the other, and writes `detection.json` to the store. A run that was stopped goes on
    after its last saved step, and ends with the same file on the same machine. `errors`: empty; gets those of each image.

    Raises ConfigError for sets of different classes, a network without the maps that a detector needs, and an output of
    another run; TagmillError for a training whose loss is no longer finite.
    """
    _check(train, val, task)
    schedule = detection_schedule(
        task.detector, len(train), task.batch, epochs=task.epochs, rate=task.rate, warmup_steps=task.warmup_steps
    )
    start = at_any_size(random_network(trained, task.seed, train.stored) if task.random else trained)
    begin_randomness("cpu", task.seed, 2)
    classes = train.stored.classes
    model = build_detector(task.detector, start, start.build(), len(classes), task.sides, task.weight).to(device)
    weights = [value for value in model.parameters() if value.requires_grad]
    optimiser = torch.optim.SGD(weights, schedule.rate, MOMENTUM, weight_decay=WEIGHT_DECAY)
    identity = _identity(trained, train, task, schedule)
    state = load_state(store, identity, model, optimiser) or DetectorState(identity, 0, {})
    progress.stage("train", schedule.steps)
    progress.advance(state.step)
    skipped = _train(model, optimiser, train, task, schedule, state, store, progress, device, save_every)
    errors = BoxErrors(len(classes), 0) if errors is None else errors
    outcome = _evaluated(model, trained, train, val, task, schedule, skipped, progress, device, errors)
    write_detection(outcome, store)
    return outcome


def _check(train: CocoSet, val: CocoSet, task: DetectorTask) -> None:
    check_detector_images(task.sides)
    if train.stored.classes != val.stored.classes:
        remedy = "give two files with the same categories"
        raise ConfigError("classes that are not those of the training set", val.stored.name, remedy)
    if not any(not each.crowd for image in train.images for each in image.instances):
        raise ConfigError("no object to train on", train.stored.name, "give a set with boxes that are not crowds")
    if task.detector == "mask-rcnn" and not (train.masks and val.masks):
        raise ConfigError("Mask R-CNN needs masks", train.stored.name, "read the sets with masks")


def _identity(trained: Trained, train: CocoSet, task: DetectorTask, schedule: DetectionSchedule) -> str:
    """A digest of what decides the trained weights."""
    parts = [VERSION, trained.digest, trained.network, repr(sorted(trained.network_args.items())), train.stored.digest]
    return hashlib.sha256(canonical_json([*parts, asdict(task), asdict(schedule)])).hexdigest()


def _train(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    train: CocoSet,
    task: DetectorTask,
    schedule: DetectionSchedule,
    state: DetectorState,
    store: Store,
    progress: Progress,
    device: str,
    save_every: int,
) -> Mapping[str, str]:
    """Makes the steps that are left; returns the training images that were left out, with reasons."""
    model.train()
    skipped, step = dict(state.skipped), state.step
    for batch in training_batches(train, task.batch, task.seed, state.step, schedule.steps):
        skipped |= batch.skipped
        if batch.images:
            begin_randomness(device, task.seed, step, 3)  # which proposals the losses sample
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate_of(step)
            images, targets = _sent(batch.images, device), [_on(each, device) for each in batch.targets]
            _step(model, optimiser, images, targets, step, store)
        step += 1
        if step % save_every == 0 or step == schedule.steps:
            save_state(store, DetectorState(state.identity, step, skipped), model, optimiser)
        progress.advance(1)
    return skipped


def _step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: list[torch.Tensor],
    targets: list[Target],
    step: int,
    store: Store,
) -> None:
    losses = model(images, targets)
    loss = torch.stack([value.reshape(()) for value in losses.values()]).sum()
    if not loss.isfinite():
        names = ", ".join(name for name, value in losses.items() if not value.isfinite()) or "sum"
        remedy = "start again in an empty output with a lower --lr or a longer --warmup-steps"
        raise TagmillError(f"a loss that is not finite at step {step:,}: {names}", store.url, remedy)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _evaluated(
    model: nn.Module,
    trained: Trained,
    train: CocoSet,
    val: CocoSet,
    task: DetectorTask,
    schedule: DetectionSchedule,
    skipped: Mapping[str, str],
    progress: Progress,
    device: str,
    errors: BoxErrors,
) -> DetectionOutcome:
    masks = task.detector == "mask-rcnn"
    left, seen = Counter[str](), Counter[str]()
    progress.stage("evaluate", len(val))

    def pairs() -> Iterator[tuple[list[Target], list[Target]]]:
        for batch in batches_in_order(val, task.batch):
            left.update(batch.skipped.values())
            seen["images"] += len(batch.images)
            if batch.images:
                wanted = [evaluation_target(val.images[place], masks=masks) for place in batch.places]
                found = detections(model, _sent(batch.images, device))
                for place, one, target in zip(batch.places, found, wanted, strict=True):
                    errors.add(val.stored.examples[place].key, one, target)
                yield found, wanted
            progress.advance(len(batch.images) + len(batch.skipped))

    found = average_precision(pairs(), len(val.stored.classes), masks=masks)
    return DetectionOutcome(
        protocol="detection",
        detector=task.detector,
        model=trained.where,
        model_digest=trained.digest,
        random=task.random,
        train_set=train.stored.name,
        train_digest=train.stored.digest,
        val_set=val.stored.name,
        val_digest=val.stored.digest,
        classes=tuple(each.name for each in val.stored.classes),
        images=seen["images"],
        boxes=found["boxes"],
        masks=found.get("masks"),
        settings={
            **asdict(task),
            **asdict(schedule),
            "recipe": RECIPES[task.detector].source,
            "momentum": MOMENTUM,
            "weight_decay": WEIGHT_DECAY,
        },
        skipped={
            "train_images": dict(Counter(skipped.values())),
            "train_annotations": dict(train.skipped),
            "val_images": dict(left),
            "val_annotations": dict(val.skipped),
        },
        matches=errors.matches(),
    )


def detections(model: nn.Module, images: list[torch.Tensor]) -> list[Target]:
    """Returns what a detector finds in images, on the host: `boxes`, `labels`, `scores` and, of Mask R-CNN, `masks` uint8
    [n, height, width]."""
    model.eval()
    with torch.inference_mode():
        found = [_on(each, "cpu") for each in model(images)]
    for each in found:
        if "masks" in each:
            each["masks"] = (each["masks"][:, 0] > MASK_SHARE).to(torch.uint8)
    return found


def _sent(images: list[torch.Tensor], device: str) -> list[torch.Tensor]:
    return [each.to(device) for each in images]


def _on(target: Target, device: str) -> Target:
    return {name: value.to(device) for name, value in target.items()}
