"""Folders that tagmill owns inside shared ones: created with a marker; nothing without the marker is ever removed."""

import os
from contextlib import suppress
from pathlib import Path

from tagmill.shards.storage.local_disk import remove_tree

MARKER = ".made-by-tagmill"
TEXT = b"tagmill made this folder, and deletes it with all that is in it when it is no longer needed.\n"


def claim(folder: Path, mode: int = 0o777) -> None:
    """Creates a folder with a marker; marks an empty one; leaves a marked one as it is.

    The marker is created before anything else, so several processes may do this at once and be killed. Raises
    FileExistsError for a non-empty folder without a marker.
    """
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if is_marked(folder):
        return
    if any(folder.iterdir()) and not is_marked(folder):
        raise FileExistsError(f"{folder} contains files that tagmill did not write")
    with suppress(FileExistsError), (folder / MARKER).open("xb") as file:
        file.write(TEXT)


def is_marked(folder: Path) -> bool:
    """Returns whether a folder, not a link to one, contains the marker."""
    return not folder.is_symlink() and (folder / MARKER).is_file()


def discard(folder: Path) -> bool:
    """Removes a folder with its content if it contains the marker, and returns whether it is gone. The marker goes
    last, so that the remains of a killed process can be removed later."""
    if is_marked(folder):
        with suppress(OSError):
            remove_tree(folder, last=folder / MARKER)
    return not os.path.lexists(folder)
