"""Checkpoints of earlier versions, `checkpoint.pt` and `checkpoint-STEP.pt`: their weights can begin a new run."""

import pickle
from pathlib import Path
from typing import Any

import torch

from tagmill.shards import TagmillError


def read_single_file(path: Path) -> dict[str, Any]:
    """Reads a file, whatever run it is of; `model` are its weights, `identity` its settings. Only tensors and plain values
    are unpickled. Raises TagmillError for a file that is none."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        dict(saved["identity"])
        dict(saved["model"])
        return saved
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError) as error:
        remedy = "give another file, or a run's output"
        raise TagmillError(f"not a checkpoint, or a truncated one ({type(error).__name__})", path, remedy) from error
