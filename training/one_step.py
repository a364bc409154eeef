"""One step of the optimiser: what `tagmill train` and fine-tuning do with a batch of images."""

from contextlib import ExitStack
from typing import Literal

import torch

from tagmill.pipeline import Batch
from tagmill.training.metrics.evaluation import scores
from tagmill.training.model.recompute import statistics_counted_once
from tagmill.training.model.statistics import frozen_statistics
from tagmill.training.parallel.synchronise import gradients_averaged
from tagmill.training.run import StepRun
from tagmill.training.step.losses import sigmoid_loss, softmax_loss, weighed
from tagmill.training.step.optimiser import gradient_norm
from tagmill.training.step.seeds import begin_randomness
from tagmill.training.step.slices import slices


def backward(run: StepRun, batch: Batch, own: int | None = None) -> torch.Tensor:
    """Adds the gradient of a step's images to the weights', in the configuration's number of parts: of the first `own` images,
    by default of all; the others are there to be mixed with them. Returns the loss, summed over these images, float64 on the
    device."""
    config, normalised = run.config, run.normalised
    terms = batch.terms()
    if run.label_weights is not None:
        terms = weighed(terms, run.label_weights, len(batch))
    targets = batch.terms(shared=False) if config.loss == "sigmoid" else None
    total = torch.zeros((), device=run.device, dtype=torch.float64)
    output: Literal["bfloat16", "float32"] = "bfloat16" if config.precision == "bf16" else "float32"
    parts = slices(batch, config.accumulation, only_valid=normalised, filler_size=run.filler_size, own=own)
    for number, part in enumerate(parts):
        run.progress.at("forward", run.step)
        # Dropout and the like are a function of step, rank and part.
        begin_randomness(run.device, config.seed, run.step, run.world.rank, number)
        images = batch.normalised_rows(part.rows, output, run.mean, run.std)
        with ExitStack() as stack:
            stack.enter_context(gradients_averaged(run.forward, now=number == len(parts) - 1))
            if normalised and part.filler and len(part.rows):
                stack.enter_context(frozen_statistics(run.model))
            logits = scores(run.forward, images, config)
            if targets is None:
                loss = softmax_loss(logits, part.terms(terms), config.smoothing)
            else:
                loss = sigmoid_loss(logits, part.terms(terms), part.terms(targets), config.smoothing)
            # The sum over all images of the step, divided by its nominal size: gradients are averaged over processes.
            if normalised and config.activation_checkpointing:
                stack.enter_context(statistics_counted_once(run.model))
            if part is parts[-1]:  # in which processes wait for each other
                run.progress.at("backward", run.step)
            torch.autograd.backward(loss * run.world.size / config.batch_size)
        total += loss.detach()
    return total


def take_step(run: StepRun, batch: Batch, before: dict[str, object], rate: float, *, own: int | None = None) -> None:
    """Computes the gradient of a step's uint8 images, on the run's device, and lets the optimiser take the step with a learning
    rate. `before`: the loader's state before it. `own`: images from the front that the step learns from, by default all."""
    config, seen = run.config, batch.valid[:own].sum()
    count = batch.count if own is None else own
    loss = backward(run, batch, own)
    run.progress.at("optimiser", run.step)
    norm = gradient_norm(run.model, config.clip)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.optimiser.step()
    run.optimiser.zero_grad()
    if run.ema is not None:
        run.ema.follow(run.model, run.step)
    run.unlogged.append((before, torch.stack([loss, seen, count - seen, norm]).double()))
    run.step += 1
