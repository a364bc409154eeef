"""A labelled set whose images are byte ranges of objects in a store: files of a folder, or members of tars."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from tagmill.shards.errors import InputError
from tagmill.shards.many_requests import in_order, requests_at_once
from tagmill.shards.storage.store import Store
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass

T = TypeVar("T")
log = logging.getLogger(__name__)

MOST_IMAGE_BYTES = 50_000_000  # of a file, as an ingest takes by default
IMAGE_SUFFIXES = frozenset(["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif"])


class StoredImage(NamedTuple):
    """Where the bytes of an image are."""

    object: str  # name in the store
    size: int | None  # bytes; None: the object does not exist
    start: int | None = None  # of a byte range; None: the whole object


@dataclass(frozen=True)
class StoredSet(LabelledSet):
    """Examples whose bytes are in a store."""

    store: Store = field(compare=False)
    images: Sequence[StoredImage] = field(compare=False, repr=False)  # in the order of `examples`

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the bytes of the images; None for one that is missing or has more than MOST_IMAGE_BYTES. Reads many at a
        time from a remote store. Raises InputError for one whose size is not that of the digest, and StoreError."""
        images = (self.images[place] for place in places)
        return list(in_order(partial(_bytes_of, self.store), images, requests_at_once(self.store)))


def _bytes_of(store: Store, image: StoredImage) -> bytes | None:
    if image.size is None:
        return None
    if image.size > MOST_IMAGE_BYTES:
        log.warning("%s is left out: %s bytes", safe_text(image.object), f"{image.size:,}")
        return None
    where = f"{store.url.rstrip('/')}/{image.object}"
    try:
        if image.start is not None:
            return store.read_range(image.object, image.start, image.start + image.size)
        data = store.read(image.object)
    except FileNotFoundError:
        return None
    if len(data) != image.size:
        what = f"{len(data)} bytes, {image.size} when the set was opened"
        raise InputError(what, where, "do not change a set while it is read; run the command again")
    return data


def stored_set(
    name: str,
    store: Store,
    classes: Iterable[SetClass],
    found: Iterable[tuple[Example, StoredImage]],
) -> StoredSet:
    """Returns a set of stored images. What identifies the bytes is the size of each, so nothing is read.

    Raises InputError where `checked` does.
    """
    pairs = list(found)
    examples, images = [example for example, _ in pairs], [image for _, image in pairs]
    kept = tuple(classes)
    check_set(kept, examples, store.url)
    digest = digest_of(kept, examples, (str(image.size) for image in images))
    return StoredSet(name, store.url, kept, examples, digest, store, images)


def check_set(classes: Sequence[SetClass], examples: Sequence[Example], where: str) -> None:
    """Raises InputError for a set without images or with fewer than two classes, two examples of one key, two classes of
    one name and synset, and a label that is no place in `classes`. Logs how many classes have no example."""
    if not examples:
        raise InputError("a set without images", where, "give a folder, table, array or tar that has some")
    if len(classes) < 2:
        what = f"a set with {len(classes)} class" + ("" if len(classes) == 1 else "es")
        raise InputError(what, where, "a classifier needs at least two")
    if (twice := _repeated(classes)) is not None:
        raise InputError(f"two classes of one name, {_shown(twice.name)}", where, "name each class once")
    if (again := _repeated([example.key for example in examples])) is not None:
        raise InputError(f"two images of one key, {_shown(again)}", where, "name each image once")
    used = {label for example in examples for label in example.labels}
    if outside := sorted(label for label in used if not 0 <= label < len(classes)):
        what = f"label {outside[0]}, with {len(classes):,} classes"
        raise InputError(what, where, "labels are the places of classes, counted from 0")
    if empty := len(classes) - len(used):
        log.warning("%s: %s of %s classes have no image", where, f"{empty:,}", f"{len(classes):,}")


def _repeated(values: Iterable[T]) -> T | None:
    seen = set[T]()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _shown(text: str) -> str:
    return repr(safe_text(text, 80))


def digest_of(classes: Sequence[SetClass], examples: Sequence[Example], identities: Iterable[str]) -> str:
    """Returns the digest of a set: SHA-256 of classes, keys, labels, groups, and of a text for each example that says which
    bytes it has. It does not depend on where the set is."""
    digest = hashlib.sha256(json.dumps(["tagmill set 1", *classes]).encode())
    for example, identity in zip(examples, identities, strict=True):
        line = json.dumps([example.key, example.labels, example.group, identity], separators=(",", ":"))
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


def is_image_name(name: str) -> bool:
    """Returns whether a file has a suffix of an image format of the web, and no folder or name that begins with a dot."""
    parts = name.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return not hidden and "." in name and name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def check_text_name(name: str, where: str) -> str:
    """Returns the name of a file. Raises InputError for one that is not UTF-8: no table could hold its key."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"a name that is not UTF-8, {_shown(name)}", where, "rename the file") from error
    return name
