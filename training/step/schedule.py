"""The learning rate of a step, as a function of the images that came before it.

Positions are images: a step is `batch_size` of them, also where holes or the end of an epoch leave some out. With the same
numbers of images, runs with small and with large steps therefore follow the same curve. Positions are compared as integers
and their quotients, which Python rounds once, so that the batch size changes no bit of a rate.
"""

import math

from tagmill.training.config.train import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """Returns the learning rate of step `step` (from 0) of `steps`: a linear warm-up to the peak, which the last step of the
    warm-up has, and then the schedule."""
    position, total, warmup = step * config.batch_size, steps * config.batch_size, config.images_of_warmup
    if position < warmup:
        share = min(1.0, (position + config.batch_size) / warmup)
        return config.warmup_lr + (config.peak_lr - config.warmup_lr) * share
    done, rest = min(position, total) - warmup, max(1, total - warmup)
    match config.schedule:
        case "cosine":
            share = 0.5 * (1 + math.cos(math.pi * (done / rest)))
            return config.final_lr + (config.peak_lr - config.final_lr) * share
        case "linear":
            return config.peak_lr + (config.final_lr - config.peak_lr) * (done / rest)
        case "halvings":
            halvings = config.halvings or 0
            return config.peak_lr * 0.5 ** min(halvings, done * (halvings + 1) // rest)
        case "milestones":
            whole = {"share": total, "epochs": steps_per_epoch * config.batch_size, "images": 1}[config.milestone_unit]
            return config.peak_lr * config.gamma ** sum(position / whole >= each for each in config.milestones)
        case "constant":
            return config.peak_lr


def schedule_in_words(config: TrainConfig) -> str:
    """Returns the peak, the warm-up and what follows it, in words."""
    ways = {
        "cosine": f"half a cosine to {config.final_lr:g}",
        "linear": f"a line to {config.final_lr:g}",
        "halvings": f"{config.halvings or 0} halvings",
        "milestones": f"times {config.gamma:g} at {len(config.milestones)} milestones",
        "constant": "constant",
    }
    warmup = f" after {config.images_of_warmup:,} images of warm-up from {config.warmup_lr:g}"
    return f"{config.peak_lr:g}{warmup if config.images_of_warmup else ''}, then {ways[config.schedule]}"


def schedule_warnings(config: TrainConfig, steps: int, steps_per_epoch: int) -> list[str]:
    """Returns what is unusual about the schedule of a run of `steps` steps."""
    found, total, warmup = list[str](), steps * config.batch_size, config.images_of_warmup
    if warmup >= total:
        found.append(f"the warm-up of {warmup:,} images is not over when the run ends, after {total:,} images")
    if config.schedule == "milestones":
        whole = {"share": total, "epochs": steps_per_epoch * config.batch_size, "images": 1}[config.milestone_unit]
        unit = {"share": " of the run"}.get(config.milestone_unit, f" {config.milestone_unit}")
        for each in config.milestones:
            if each * whole >= total:
                found.append(f"the milestone at {each:g}{unit} is not reached before the run ends")
            elif each * whole < warmup:
                found.append(f"the milestone at {each:g}{unit} is in the warm-up, and takes effect at its end")
    return found
