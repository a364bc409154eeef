"""The learning rate of a step."""

import math

from tagmill.training.config.train import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Returns the learning rate of step `step` (from 0) of `steps`: linear warm-up to the peak, then the schedule."""
    if step < config.warmup_steps:
        return config.warmup_lr + (config.peak_lr - config.warmup_lr) * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.peak_lr
    if config.schedule == "milestones":
        return config.peak_lr * config.gamma ** sum(step >= share * steps for share in config.milestones)
    share = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return config.peak_lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
