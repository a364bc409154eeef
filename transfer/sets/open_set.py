"""Opens a labelled set by its path or URL, whatever kind it is."""

from collections.abc import Callable
from functools import partial

from tagmill.shards import ConfigError, InputError, Store
from tagmill.shards.manifest import CORPUS
from tagmill.shards.storage.store import is_local, local_path
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.kinds.binary_files import binary_set, is_binary, refuse_pickles
from tagmill.transfer.sets.kinds.class_folders import class_folder_set
from tagmill.transfer.sets.kinds.corpus_samples import corpus_set
from tagmill.transfer.sets.kinds.image_table import image_table_set
from tagmill.transfer.sets.kinds.imagenet import SYNSETS, real_set, synset_folder_set, v2_set
from tagmill.transfer.sets.kinds.pixel_arrays import (
    MOST_ARRAY_BYTES,
    is_number_row,
    npy_set,
    npz_set,
    number_table_set,
    unpacked,
)
from tagmill.transfer.sets.kinds.sample_tars import class_names, sample_tar_set, tars_of
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.layouts.all_layouts import LAYOUTS, layout_set, recognised_layout
from tagmill.transfer.sets.set_files import SetFiles, folder_and_name, read_bounded, set_name

MOST_TABLE_BYTES = 1 << 31  # of a table, after unpacking
_TABLES = (".csv", ".tsv", ".txt")
_VIEW = "default"
REAL = "imagenet-real"
"""The kind of a set whose images have several right labels."""
_Opener = Callable[[str, str | None], LabelledSet]


def open_set(spec: str, split: str | None = None) -> LabelledSet:
    """Opens a set by its path or URL, or by KIND:URL with a kind of KINDS where it is not recognised by its files. `split`
    names a part of it: a folder, a value of a table's column `split`, the front of the names of arrays, train or holdout of a
    corpus, a list of a published layout (several with a plus between them). A corpus is read with the labels of the view after
    a `#` of its URL, else of `default`.

    Raises ConfigError for an unknown kind, InputError for what is no set, and StoreError.
    """
    kind, url = _kind_and_url(spec)
    where = url.rstrip("/") or url
    return (_opener_of(where) if kind is None else KINDS[kind])(where, split)


def _kind_and_url(spec: str) -> tuple[str | None, str]:
    front, colon, rest = spec.partition(":")
    if not colon or rest.startswith("//"):
        return None, spec
    if front in KINDS:
        return front, rest
    if "/" not in front and not local_path(spec).exists():
        raise ConfigError(f"no kind of set {safe_text(front, 40)!r}", safe_text(spec), f"there are: {', '.join(KINDS)}")
    return None, spec


def _opener_of(url: str) -> _Opener:
    name = folder_and_name(url)[1].lower().removesuffix(".gz")
    if is_local(url) and local_path(url).is_dir():
        return _folder
    if name.endswith((".npz", ".npy")):
        return _arrays
    if name.endswith(".tar"):
        return _tars
    return _table if name.endswith(_TABLES) else _folder


def _folder(url: str, split: str | None) -> LabelledSet:
    """Opens a folder by the files that it has."""
    place, _, view = url.partition("#")
    if view or Store(place).exists(CORPUS):
        return _corpus(url, split)
    files = SetFiles.below(url)
    if (kind := recognised_layout(files)) is not None:
        return layout_set(kind, files, split)
    if is_binary(files):
        return binary_set(set_name(url, split), files, split)
    part, meant = files.part(split)
    if tars := tars_of(part):
        return sample_tar_set(set_name(url, meant), part, tars, class_names(part) or class_names(files))
    arrays = [name for name in part.top if name.endswith("images.npy")]
    if len(arrays) == 1:
        return _arrays(f"{part.store.url}/{arrays[0]}", None)
    refuse_pickles(part)
    return class_folder_set(set_name(url, meant), part)


def _class_folders(url: str, split: str | None) -> LabelledSet:
    files, meant = SetFiles.below(url).part(split)
    return class_folder_set(set_name(url, meant), files)


def _corpus(url: str, split: str | None) -> LabelledSet:
    place, _, view = url.partition("#")
    return corpus_set(set_name(place, split), place, view or _VIEW, split)


def _tars(url: str, split: str | None) -> LabelledSet:
    if not url.endswith(".tar"):
        files = SetFiles.below(url)
        part, meant = files.part(split)
        return sample_tar_set(set_name(url, meant), part, tars_of(part), class_names(part) or class_names(files))
    if split is not None:
        raise InputError("a tar has no splits", url, "give a folder of tars for each part")
    folder, file = folder_and_name(url)
    files = SetFiles.below(folder)
    if file not in files.sizes:
        raise InputError("no such file", url, "give the path or URL of a tar")
    return sample_tar_set(set_name(url, None), files, [file], class_names(files))


def _binary(url: str, split: str | None) -> LabelledSet:
    return binary_set(set_name(url, split), SetFiles.below(url), split)


def _arrays(url: str, split: str | None) -> LabelledSet:
    folder, file = folder_and_name(url)
    store = Store(folder)
    data = read_bounded(store, file, MOST_ARRAY_BYTES)
    if file.endswith(".npz"):
        return npz_set(set_name(url, split), url, data, split)
    labels = file.replace("images", "labels")
    if labels == file or split is not None:
        raise InputError(
            "an .npy file without labels", url, "name the files images.npy and labels.npy, or give an .npz file"
        )
    return npy_set(set_name(url, None), url, data, read_bounded(store, labels, MOST_ARRAY_BYTES))


def _table(url: str, split: str | None) -> LabelledSet:
    folder, file = folder_and_name(url)
    data = unpacked(read_bounded(Store(folder), file, MOST_TABLE_BYTES), MOST_TABLE_BYTES, url)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"text that is not UTF-8 at byte {error.start:,}", url, "convert the table to UTF-8"
        ) from error
    if not any(map(is_number_row, text.split("\n", 2)[:2])):
        return image_table_set(set_name(url, split), SetFiles.below(folder), file, text, split)
    if split is not None:
        raise InputError("a table of numbers has no splits", url, "give a file for each part")
    return number_table_set(set_name(url, None), url, text)


def _layout(kind: str, url: str, split: str | None) -> LabelledSet:
    return layout_set(kind, SetFiles.below(url), split)


def _imagenet(kind: str, url: str, split: str | None) -> LabelledSet:
    files, meant = SetFiles.below(url).part(split)
    name = set_name(kind, meant)
    if kind == REAL:
        return real_set(name, files)
    return v2_set(name, files) if kind == "imagenet-v2" else synset_folder_set(name, kind, files)


KINDS: dict[str, _Opener] = {
    "folder": _class_folders,
    "table": _table,
    "arrays": _arrays,
    "tars": _tars,
    "corpus": _corpus,
    "binary": _binary,
    **{kind: partial(_imagenet, kind) for kind in (*SYNSETS, REAL, "imagenet-v2")},
    **{kind: partial(_layout, kind) for kind in LAYOUTS},
}
"""What opens each kind of set, by its name in KIND:URL."""
