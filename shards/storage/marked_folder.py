"""Folders of ours in places that others use too: made with a marker, and nothing without the marker is ever removed."""

import os
from contextlib import suppress
from pathlib import Path

from tagmill.shards.storage.local_disk import remove_tree

MARKER = ".made-by-tagmill"
TEXT = b"tagmill made this folder, and deletes it with all that is in it when it is no longer needed.\n"


def claim(folder: Path, mode: int = 0o777) -> None:
    """Makes a folder and marks it as ours; one that is empty is marked, one that is marked is left as it is.

    The marker is there before anything else is, so several processes may do this at once, and be killed. Raises
    FileExistsError for a folder that holds something and has no marker.
    """
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if is_marked(folder):
        return
    if any(folder.iterdir()) and not is_marked(folder):
        raise FileExistsError(f"{folder} holds something that tagmill did not write")
    with suppress(FileExistsError), (folder / MARKER).open("xb") as file:
        file.write(TEXT)


def is_marked(folder: Path) -> bool:
    """Whether a folder, not a link to one, carries our marker."""
    return not folder.is_symlink() and (folder / MARKER).is_file()


def discard(folder: Path) -> bool:
    """Removes a folder with its content if it carries our marker, and returns whether it is gone. The marker goes last, so that
    what a killed process leaves can be discarded again."""
    if is_marked(folder):
        with suppress(OSError):
            remove_tree(folder, last=folder / MARKER)
    return not os.path.lexists(folder)
