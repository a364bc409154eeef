"""Reads SUN397: folders of scenes, some of them in folders of others, with a file of their names."""

from collections.abc import Iterator

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.layouts.layout import Layout
from tagmill.transfer.sets.layouts.listed_images import BRING, ListedImage, file_url, list_lines, listed_set
from tagmill.transfer.sets.set_files import SetFiles, the_part
from tagmill.transfer.sets.stored_images import StoredSet

_NAMES = "ClassName.txt"


def scene_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns the set, which has no parts. Classes are in the order of `ClassName.txt`, images in that of their paths."""
    if split is not None:
        the_part(split, [], files.store.url)
    return listed_set(kind, files, [*_classes(files)], _rows(files))


def _classes(files: SetFiles) -> Iterator[str]:
    for line, where in list_lines(files, _NAMES):
        start, letter, name = line[:1], line[1:2], line[3:]
        if start != "/" or not letter.isalpha() or line[2:3] != "/" or not name:
            raise InputError(f"{safe_text(line, 80)!r} is no class", where, f"lines are like /a/abbey; {BRING}")
        yield name


def _rows(files: SetFiles) -> Iterator[ListedImage]:
    for path in files.in_order:
        folders, _, name = path.rpartition("/")
        _, _, scene = folders.partition("/")
        if scene and name.startswith("sun_") and name.endswith(".jpg"):
            yield ListedImage(path, scene, file_url(files, path))


SCENES = Layout(("SUN397",), (_NAMES,), scene_set)
