"""A fine-tuning that takes a second: twelve steps of a tiny network on drawn images, some of which cannot be used."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch

from tagmill.shards import Store
from tagmill.training.trained.model import Trained, Transform
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.outcome.outcome import Outcome
from tests.transfer.drawn_set import DrawnSet, drawn_set

SMALL = FineTuneOptions(scale=0.024, size=32, batch_size=8, checkpoint_every=3, threads=1, device="cpu")
TRAIN = drawn_set(3, 10, undecodable=[4], missing=[20, 21])
TEST = drawn_set(3, 6, seed=1, undecodable=[2], missing=[7], group=2)


def random_model(network: str = "test_resnet", seed: int = 0, **arguments: Any) -> Trained:
    """Returns an untrained network as a model."""
    torch.manual_seed(seed)
    model = timm.create_model(network, num_classes=7, **arguments)
    return Trained(
        f"random {network}", model.state_dict(), network, {"num_classes": 7, **arguments}, transform=Transform(64)
    )


def tuned(
    work: Path | str, trained: Trained | None = None, train: DrawnSet = TRAIN, test: DrawnSet = TEST, **changed: Any
) -> Outcome:
    """Fine-tunes and returns the outcome."""
    return fine_tune(trained or random_model(), train, test, replace(SMALL, **changed), str(work))


def killed_at(work: str, put: int) -> None:
    """Fine-tunes in this process, which a SIGKILL ends when it has written so many objects, in the middle of the next one."""
    put_before, number = Store.put, 0

    def counted(store: Store, name: str, *given: Any, **named: Any) -> None:
        nonlocal number
        number += 1
        if number > put:
            Path(work, "killed").write_text(name)
            os.kill(os.getpid(), signal.SIGKILL)
        put_before(store, name, *given, **named)

    Store.put = counted  # type: ignore[method-assign,assignment]
    tuned(work)
