"""Opens a labelled set by its path or URL, whatever kind it is."""

import zlib
from collections.abc import Callable

from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.storage.store import Store, is_local, local_path
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.class_folders import class_folder_set
from tagmill.transfer.sets.image_table import image_table_set
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.pixel_arrays import MOST_ARRAY_BYTES, is_number_row, npy_set, npz_set, number_table_set
from tagmill.transfer.sets.set_files import SetFiles, folder_and_name, read_bounded, set_name

MOST_TABLE_BYTES = 1 << 31
"""Bytes of a table, after unpacking."""
TABLES = (".csv", ".tsv", ".txt")


def open_set(spec: str, split: str | None = None) -> LabelledSet:
    """Opens a set by its path or URL, or by KIND:URL where its kind is not recognised. `split` names a part of it: a folder,
    a value of a table's column `split`, or the front of the names of arrays.

    Raises ConfigError for an unknown kind, InputError for what is no set, and StoreError.
    """
    kind, url = _kind_and_url(spec)
    return KINDS[kind or _recognised(url)](url.rstrip("/"), split)


def _kind_and_url(spec: str) -> tuple[str | None, str]:
    front, colon, rest = spec.partition(":")
    if front in KINDS and colon and not rest.startswith("//"):
        return front, rest
    if colon and not rest.startswith("//") and front.isalnum() and not local_path(spec).exists():
        kinds = ", ".join(KINDS)
        raise ConfigError(f"no kind of set {safe_text(front, 40)!r}", safe_text(spec), f"there are: {kinds}")
    return None, spec


def _recognised(url: str) -> str:
    name = folder_and_name(url)[1].lower().removesuffix(".gz")
    if is_local(url) and local_path(url).is_dir():
        return "folder"
    if name.endswith((".npz", ".npy")):
        return "arrays"
    return "table" if name.endswith(TABLES) else "folder"


def _folder(url: str, split: str | None) -> LabelledSet:
    return class_folder_set(set_name(url, split), SetFiles.below(url).part(split))


def _arrays(url: str, split: str | None) -> LabelledSet:
    folder, file = folder_and_name(url)
    store = Store(folder)
    data = read_bounded(store, file, MOST_ARRAY_BYTES)
    if file.endswith(".npz"):
        return npz_set(set_name(url, split), url, data, split)
    if "images" not in file or split is not None:
        raise InputError(
            "an .npy file without labels", url, "name the files images.npy and labels.npy, or give an .npz file"
        )
    return npy_set(
        set_name(url, None), url, data, read_bounded(store, file.replace("images", "labels"), MOST_ARRAY_BYTES)
    )


def _table(url: str, split: str | None) -> LabelledSet:
    folder, file = folder_and_name(url)
    data = read_bounded(Store(folder), file, MOST_TABLE_BYTES)
    text = table_text(data, url)
    lines = text.split("\n", 2)
    if any(map(is_number_row, lines[:2])):
        if split is not None:
            raise InputError("a table of numbers has no splits", url, "give a file for each part")
        return number_table_set(set_name(url, None), url, text)
    return image_table_set(set_name(url, split), SetFiles.below(folder), file, text, split)


def table_text(data: bytes, where: str) -> str:
    """Returns the text of a table, unpacked where it is gzipped. Raises InputError for text that is not UTF-8, and for a
    table of more than MOST_TABLE_BYTES."""
    try:
        if data.startswith(b"\x1f\x8b"):
            unpacked = zlib.decompressobj(31)
            data = unpacked.decompress(data, MOST_TABLE_BYTES)
            if not unpacked.eof:
                raise InputError(
                    f"a table of more than {MOST_TABLE_BYTES:,} bytes, or cut", where, "divide it, or mend it"
                )
        return data.decode("utf-8-sig")
    except zlib.error as error:
        raise InputError(f"no gzip file: {error}", where, "mend it, or unpack it") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"text that is not UTF-8 at byte {error.start:,}", where, "convert the table to UTF-8"
        ) from error


Opener = Callable[[str, str | None], LabelledSet]
KINDS: dict[str, Opener] = {"folder": _folder, "table": _table, "arrays": _arrays}
"""What opens each kind of set, by its name in KIND:URL."""
