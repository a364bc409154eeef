"""Finds pictures in files and folders, and makes each an upright sRGB JPEG, or says why that cannot be done."""

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.images.prepare import prepare
from tagmill.ingest.images.rejected import Rejected

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"})
MOST_BYTES = 50_000_000  # of a file, as an ingest takes by default
MOST_PIXELS = 200_000_000  # likewise
LONGEST_PATH = 1 << 16  # bytes of a line of a list
QUALITY = 95  # of pictures that are no JPEG that the decoder takes as it is
POLICY = ImagePolicy(0, QUALITY, min_side=1, max_pixels=MOST_PIXELS, resize="no", reencode="auto")


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A picture that was asked for: its bytes as a complete JPEG, or a reason why there are none."""

    path: str
    jpeg: bytes | None = None
    reason: str = ""


def named_paths(words: Iterable[str], listed: BinaryIO) -> Iterator[str]:
    """Yields the paths of pictures. A folder means the pictures below it, in the order of their names (links to folders
    are not followed), `-` for the lines of `listed`; every other word is a path."""
    for word in words:
        if word == "-":
            yield from _lines(listed)
        elif Path(word).is_dir():
            yield from _below(word)
        else:
            yield word


def read_pictures(paths: Iterable[str], number: int, threads: int) -> Iterator[list[FoundPicture]]:
    """Yields lists of `number` pictures in order, the last one shorter, and reads a list ahead in `threads` threads."""
    with ThreadPoolExecutor(threads) as pool:
        ahead, pending, rest = max(2 * number, 2), deque[Future[FoundPicture]](), iter(paths)
        found = list[FoundPicture]()
        try:
            while True:
                while len(pending) < ahead and (path := next(rest, None)) is not None:
                    pending.append(pool.submit(read_picture, path))
                if not pending:
                    break
                found.append(pending.popleft().result())
                if len(found) == number:
                    yield found
                    found = []
            if found:
                yield found
        finally:
            for each in pending:
                each.cancel()


def read_picture(path: str) -> FoundPicture:
    """Reads a picture of any format of the web. Raises nothing for any file."""
    try:
        body = _read(path)
    except (OSError, ValueError) as error:
        return FoundPicture(path, None, getattr(error, "strerror", None) or str(error))
    made = prepare(body, POLICY)
    if isinstance(made, Rejected):
        what = str(made.reason).replace("_", " ")
        return FoundPicture(path, None, f"{what}: {made.detail}" if made.detail else what)
    return FoundPicture(path, made.jpeg)


def _read(path: str) -> bytes:
    """Returns the bytes of a regular file. Raises OSError, or ValueError for another kind of file and one that is too large."""
    # Without O_NONBLOCK a named pipe would wait for a writer.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as stream:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("not a regular file")
        body = stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    return body


def _below(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            str(Path(parent, name))
            for name in sorted(files)
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        )


def _lines(listed: BinaryIO) -> Iterator[str]:
    for line in iter(partial(listed.readline, LONGEST_PATH), b""):
        if name := os.fsdecode(line.rstrip(b"\r\n")):
            yield name
