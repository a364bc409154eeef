"""Which checkpoints of an output are kept, and the removal of all others."""

import re
from collections.abc import Mapping
from pathlib import Path

from tagmill.shards import Store
from tagmill.training.checkpoints.layout import DONE, FOLDER, Done, best, folder_of, steps_there

_OF_A_STEP = re.compile(rf"{FOLDER}/(0|[1-9]\d{{0,17}})/.+")


def superfluous(records: Mapping[int, Done], keep: int) -> set[int]:
    """Returns the steps that are not kept: all but the `keep` last ones and the best."""
    last = sorted(records, reverse=True)[:keep]
    return {*records} - {*last, best(records)}


def remove(store: Store, step: int) -> None:
    """Removes a checkpoint; its record first, so that what a kill leaves is no checkpoint."""
    store.delete(f"{folder_of(step)}/{DONE}")
    store.delete_below(folder_of(step))
    if store.root is not None and not any((folder := Path(store.root, folder_of(step))).glob("*")) and folder.is_dir():
        folder.rmdir()


def remove_leftovers(store: Store) -> list[int]:
    """Removes the objects of checkpoints that were not completed, and the remains of killed puts in them. Touches nothing
    outside of `checkpoints/` and of the folders of steps in it. Returns their steps."""
    whole = set(steps_there(store))
    found = {int(match[1]) for name, _ in store.listing(FOLDER) if (match := _OF_A_STEP.fullmatch(name))}
    if store.root is not None:  # a folder with the remains of a put only
        folders = (path.name for path in Path(store.root, FOLDER).glob("*") if path.is_dir() and not path.is_symlink())
        found |= {int(name) for name in folders if _OF_A_STEP.fullmatch(f"{FOLDER}/{name}/-")}
    for step in sorted(found - whole):
        remove(store, step)
    return sorted(found - whole)
