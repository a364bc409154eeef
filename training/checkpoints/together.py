"""Actions of all processes of a run whose failure on one is raised on all, so that no other waits for it."""

import secrets
from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from tagmill.shards import Store, TagmillError
from tagmill.training.checkpoints.layout import FOLDER

T = TypeVar("T")
PROBE = f"{FOLDER}/shared.txt"


def on_first(group: Any, action: Callable[[], T]) -> T:
    """Runs an action on process 0; returns its result on all, or raises its TagmillError on all. `group`: a gloo group, or
    None for one process."""
    if group is None:
        return action()
    told: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            told[0] = action()
        except (TagmillError, OSError) as error:
            told[1] = error
    dist.broadcast_object_list(told, 0, group=group)
    if told[1] is not None:
        raise told[1]
    result: T = told[0]
    return result


def on_all(group: Any, action: Callable[[], T]) -> T:
    """Runs an action on every process and returns its own result; raises the TagmillError of the first one that has one."""
    if group is None:
        return action()
    result: Any = None
    error: Exception | None = None
    try:
        result = action()
    except (TagmillError, OSError) as raised:
        error = raised
    errors: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(errors, error, group=group)
    for each in errors:
        if each is not None:
            raise each
    found: T = result
    return found


def from_all(group: Any, value: T) -> list[T]:
    """Returns the values of all processes, by rank, on each of them."""
    if group is None:
        return [value]
    found: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(found, value, group=group)
    return found


def check_output(store: Store, group: Any) -> None:
    """Raises TagmillError, on all processes, for an output that cannot be written, or that they do not share."""

    def write() -> bytes:
        token = secrets.token_hex(16).encode()
        store.put(PROBE, token)
        return token

    token = on_first(group, write)

    def compare() -> None:
        try:
            found = store.read(PROBE)
        except FileNotFoundError:
            found = b""
        if found != token:
            what = "this process does not see what process 0 writes"
            raise TagmillError(what, store.url, "give an --output that all processes share")

    on_all(group, compare)
    on_first(group, lambda: store.delete(PROBE))
