"""The errors of torch's distributed checkpoint as ours, and the one of its warnings that says nothing to a user."""

import warnings
from collections.abc import Callable
from typing import TypeVar

from torch.distributed.checkpoint.api import CheckpointException

from tagmill.shards import TagmillError

T = TypeVar("T")

# One process saves and loads without torch.distributed, and torch warns of it each time.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")


def first_failure(error: BaseException) -> TagmillError:
    """Returns the failure of the lowest rank; one that is none of ours with its type and its text on one line."""
    if isinstance(error, CheckpointException):
        error = min(error.failures.items())[1][0]
    if isinstance(error, TagmillError):
        return error
    return TagmillError(f"{type(error).__name__}: {' '.join(str(error).split()) or 'no reason given'}")


def raising_first(action: Callable[[], T], where: str) -> T:
    """Runs an action of torch's distributed checkpoint. Raises its first failure as TagmillError."""
    try:
        return action()
    except (CheckpointException, RuntimeError, ValueError, LookupError, TypeError) as error:
        failure = first_failure(error)
        raise (failure if failure.where else TagmillError(failure.what, where, failure.remedy)) from error
