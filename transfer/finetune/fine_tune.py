"""Fine-tunes a trained network on a labelled set, and has it name the classes of a test set.

A step is that of `tagmill train` (`training/one_step.py`), and so are the checkpoints: a run that is killed and started again
goes on from the last one and ends, on a CPU, with the same outcome bit for bit.

Several processes divide the images of each step and of the test. Which images a step has, and how they are cropped and
mixed, is a function of its number, so that the weights are those of one process to rounding, and a checkpoint continues on any
number of processes. Networks with batch normalisation are the exception: as in `tagmill train` each process normalises its own
images.
"""

import hashlib
import json
from contextlib import ExitStack
from dataclasses import replace

import torch
from rich.console import Console

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.training.checkpoints.layout import TRANSFORM
from tagmill.training.checkpoints.restoring import resume
from tagmill.training.checkpoints.saving import Checkpoints
from tagmill.training.config.train import TrainConfig
from tagmill.training.parallel.processes import begin_processes
from tagmill.training.parallel.watchdog import watched
from tagmill.training.parallel.wrap import distributed
from tagmill.training.run import StepRun
from tagmill.training.step.optimiser import build_optimiser
from tagmill.training.trained.model import Trained, Transform
from tagmill.training.trained.transform_file import transform_json
from tagmill.transfer.finetune.hyper_rule import MOMENTUM
from tagmill.transfer.finetune.judge import judge
from tagmill.transfer.finetune.network import sized, tuned_network
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.finetune.recipe import Recipe, recipe_of
from tagmill.transfer.finetune.set_images import SetImages, typical_size
from tagmill.transfer.finetune.set_order import SetOrder
from tagmill.transfer.finetune.set_vocabulary import vocabulary_of
from tagmill.transfer.finetune.tuning_steps import take_steps
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_pair import check_pair
from tagmill.transfer.sets.single_label import with_one_label

FORMAT = 3  # increased with every change that alters what a run learns


def fine_tune(
    trained: Trained,
    train: LabelledSet,
    test: LabelledSet,
    options: FineTuneOptions,
    work: str,
    progress: Progress | None = None,
) -> Outcome:
    """Trains a new last layer and all weights below it on `train`, and returns the five best classes of each image of `test`.
    Images with no label or with several are left out of both and counted. Every process of a run under torchrun calls it, and
    each returns the whole outcome.

    `work`: folder or bucket prefix for checkpoints, below a name made of all that decides the weights, so that no other model,
    set or setting meets them. Raises ConfigError for sets and settings that make no run, and TagmillError where the loss or the
    weights are no longer finite, and where a store fails.
    """
    check_pair(train, test)
    (train, unused), (test, unjudged) = with_one_label(train), with_one_label(test)
    trained.skeleton()  # raises TagmillError where the weights do not fit the network
    assert trained.network is not None
    shown = progress or Silent()
    recipe = recipe_of(options, trained.network, len(train), *typical_size(train))
    config = configuration(trained, train, recipe, options, work)
    with ExitStack() as stack:
        run, order = _begin(trained, train, recipe, config, stack)
        vocabulary, store = vocabulary_of(train.classes), Store(config.output)
        checkpoints = stack.enter_context(Checkpoints(run, store, vocabulary, _beside(recipe, run)))
        resume(run, checkpoints, vocabulary, Console(quiet=True))
        group = checkpoints.group
        shown.stage("fine-tune", run.steps)
        shown.advance(run.step)
        with SetImages(train, recipe.size, options.threads) as images:
            take_steps(run, order, images, recipe, checkpoints, shown)
        with SetImages(test, recipe.size, options.threads) as images:
            found = judge(run, images, test, recipe, shown, group)
    settings = {"recipe": recipe.settings(), "momentum": MOMENTUM, "seed": options.seed, "precision": options.precision}
    settings |= {"train": train.name, "train_images": len(train), "train_skipped": {**unused, **order.skipped}}
    settings |= {"run": config.output.rpartition("/")[2], "network": config.model, "network_args": config.model_args}
    protocol = "hyperrule" if recipe.name == "bit" else "fine-tune"
    skipped = {**unjudged, **found.skipped}
    return Outcome(protocol, trained.where, test.name, test.classes, *found[:3], settings, skipped, found.groups)


def _beside(recipe: Recipe, run: StepRun) -> dict[str, bytes]:
    """Returns what checkpoints say of test images, which other rooms then treat alike."""
    share, squeezed = recipe.test_share or 1.0, recipe.test_share is None
    return {TRANSFORM: transform_json(Transform(recipe.size, share, run.mean, run.std, squeezed))}


def configuration(
    trained: Trained, train: LabelledSet, recipe: Recipe, options: FineTuneOptions, work: str
) -> TrainConfig:
    """Returns the run as `training/` knows it. The rate of a step is the recipe's, and not of its schedule. Raises ConfigError
    for a network that does not take images of the recipe's size."""
    arguments = {name: value for name, value in trained.network_args.items() if name != "num_classes"}
    config = sized(
        TrainConfig(
            view="train",
            model=trained.network or "",
            model_args=arguments,
            size=recipe.size,
            batch_size=recipe.batch_size,
            steps=recipe.schedule.steps,
            optimiser="sgd",
            momentum=MOMENTUM,
            lr=recipe.schedule.peak,
            schedule="constant",
            weight_decay=recipe.weight_decay,
            precision=options.precision,
            accumulation=options.accumulation,
            device=options.device,
            backend="cpu",
            threads=options.threads,
            seed=options.seed,
            checkpoint_every=options.checkpoint_every,
            keep=1,
        )
    )
    transform = trained.transform or Transform()
    what = [FORMAT, trained.digest, transform.mean, transform.std, train.digest, train.classes, recipe.settings()]
    what += [config.model, config.model_args, options.seed, options.precision, options.accumulation]
    name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return replace(config, output=f"{work.rstrip('/')}/fine-tune/{name}")


def _begin(
    trained: Trained, train: LabelledSet, recipe: Recipe, config: TrainConfig, stack: ExitStack
) -> tuple[StepRun, SetOrder]:
    """Returns a run before its first step, and the order of its images."""
    world, device = begin_processes(config, stack)
    model = tuned_network(trained, config, len(train.classes), zero_head=recipe.zero_head, processes=world.size)
    model = model.to(device).to(memory_format=torch.channels_last).train()
    forward, average = distributed(config, model, world.size)
    order = SetOrder(config.loader_config(), len(train), train.digest, config.seed)
    transform, steps = trained.transform or Transform(), recipe.schedule.steps
    optimiser = build_optimiser(config, model)
    run = StepRun(
        config,
        world,
        device,
        order,
        model,
        forward,
        average,
        optimiser,
        steps,
        order.batches_per_epoch,
        None,
        watched(config.collective_timeout, stack, "tagmill transfer"),
        mean=transform.mean,
        std=transform.std,
    )
    return run, order
