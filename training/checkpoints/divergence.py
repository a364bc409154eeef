"""The error of a run whose numbers are no longer finite."""

from tagmill.shards import Store, TagmillError
from tagmill.training.checkpoints.layout import steps_there
from tagmill.training.config.train import TrainConfig


class DivergedError(TagmillError):
    """A run whose loss, gradient or weights are not finite."""


def diverged(config: TrainConfig, what: str, where: str) -> DivergedError:
    """Returns the error of a run that cannot go on, with the steps from which it can be repeated."""
    there = ", ".join(map(str, steps_there(Store(config.output)))) or "none"
    remedy = (
        f"start again with --resume never and a lower lr, a longer warm-up or --clip 1 (checkpoints of steps: {there}"
    )
    return DivergedError(what, where, f"{remedy}; --resume STEP repeats from one)")
