"""Finds the inputs of an ingest: lists, tars and folders of images, and their order."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Literal

from tagmill.ingest.config.presets import Preset
from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.sources.decompress import COMPRESSIONS
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store, is_local, retrying_filesystem

InputKind = Literal["lists", "tars", "files"]
ROW_BITS = 40  # row_id = file ordinal << 40 | row ordinal
FILES_EXAMINED = 10_000  # files of a folder that are examined to find out what it holds
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
_FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "tsv", "jsonl": "json", "ndjson": "json"}
_FORMATS |= {"txt": "txt"}
_HEADLESS = frozenset(["", "tsv", "txt"])  # suffixes of files without header, whose columns a preset names
# Metadata files of Hugging Face image folders, with the column `file_name`; they are no lists of URLs.
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_HELD_OUT = re.compile(r"(?:.*/)?holdout-[0-9]+\.tar")  # held-out shards of a tagmill corpus
_PACKED_TARS = frozenset(["tgz", "tbz2", "tzst"])
_PATTERN = re.compile(r"[*?\[]")
_GIVE = (
    "give Parquet (.parquet), CSV (.csv), TSV (.tsv), JSON lines (.jsonl) or a URL a line (.txt), the last four "
    + ("packed (.gz, .zst, .bz2) or not; WebDataset tars (.tar), or a folder of pictures")
)


@dataclass(frozen=True, order=True, slots=True)
class Input:
    """One input with a file ordinal: a list, a tar, or a whole folder of images."""

    url: str
    kind: InputKind
    name: str = ""  # of a tar, relative to the input that named it


@dataclass(slots=True)
class Found:
    """The inputs in the order of their file ordinals, and what is left out of the named folders."""

    inputs: list[Input]
    held_out: dict[str, int] = field(default_factory=dict)  # input as given -> number of held-out shards, left out


def inputs(config: SourceOptions) -> list[Input]:
    """Returns the inputs of `find_inputs`."""
    return find_inputs(config).inputs


def find_inputs(config: SourceOptions) -> Found:
    """Returns every input once, sorted by full name.

    Raises InputError where nothing is found, for unsupported formats, and for folders that mix lists and images.
    """
    found: dict[str, Input] = {}
    held_out: dict[str, int] = {}
    for given in config.input:
        for each in _expand(given, config, held_out):
            found.setdefault(each.url, each)
    if len(found) >= 1 << 63 - ROW_BITS:
        raise InputError(f"{len(found)} files", ", ".join(config.input), "join some of them")
    if any(each.kind != "lists" for each in found.values()) and config.reading.header:
        what = f"the preset {config.preset} is for lists"
        raise InputError(what, ", ".join(config.input), "name the columns by their flags")
    for each in found.values():
        if each.kind == "lists":
            format_of(each.url, config.reading)
    return Found([found[url] for url in sorted(found)], held_out)


def suffixes(url: str) -> tuple[str, str]:
    """Returns (format, compression): ('csv', 'gz') of 'list.csv.gz', ('csv', '') of 'list.csv'."""
    parts = [part.lower() for part in PurePosixPath(url).name.split(".")[1:]]
    if parts and parts[-1] in COMPRESSIONS:
        return (parts[-2] if len(parts) > 1 else ""), parts[-1]
    return (parts[-1] if parts else ""), ""


def format_of(url: str, reading: Preset) -> str:
    """Returns the format of a list: parquet, csv, tsv, json, txt, or headless where a preset names the columns."""
    suffix, packed = suffixes(url)
    if reading.header:
        if suffix not in _HEADLESS:
            raise InputError(f"a preset for TSV files does not read {suffix!r}", url, "name the columns by their flags")
        return "headless"
    if suffix not in _FORMATS:
        raise InputError(f"a file whose format {suffix or 'without suffix'!r} is not read", url, _GIVE)
    if packed and _FORMATS[suffix] == "parquet":
        raise InputError("a packed Parquet file cannot be read", url, "unpack it: Parquet is packed inside")
    return _FORMATS[suffix]


def _expand(given: str, config: SourceOptions, held_out: dict[str, int]) -> Iterator[Input]:
    """Yields the inputs that one argument names: a file or folder of exactly this name, else the matches of the pattern.

    A folder yields what it holds of one kind; two kinds are an error.
    """
    fs, path = retrying_filesystem(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    if fs.isfile(path):
        files = [path]
    elif fs.isdir(path):
        yield from _in_folder(given, config, held_out)
        return
    else:
        files = _glob(fs, path) if _PATTERN.search(path) else []
    if not files:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    train = [file for file in files if not _is_held_out(file, fs.isfile)]
    if len(train) < len(files) and path not in files and not PurePosixPath(path).name.startswith("holdout"):
        files = _without_held_out(given, files, train, held_out)
    for file in files:
        kind = config.source or _kind(file)
        if kind == "files":
            raise InputError("a single image", given, "give its folder, with --source files")
        if kind == "tars":
            _check_tar(file)
        yield Input(named(file), kind, PurePosixPath(file).name)


def _glob(fs: Any, pattern: str) -> list[str]:
    """Returns the files that match a pattern; as in a shell, only a dot in the pattern matches a leading dot."""
    named = pattern[: _PATTERN.search(pattern).start()].rpartition("/")[0]  # type: ignore[union-attr]
    dots = re.search(r"/\.|\[\.", pattern[len(named) :]) is not None
    found = [file for file in fs.glob(pattern) if fs.isfile(file)]
    return [file for file in found if dots or "/." not in file[len(named) :]]


def _is_held_out(file: str, exists: Callable[[str], bool]) -> bool:
    """Returns whether a tar is a held-out shard of a tagmill corpus, which has its index beside it."""
    return _HELD_OUT.fullmatch(file) is not None and exists(f"{file.removesuffix('.tar')}.npy")


def _without_held_out(given: str, tars: list[str], train: list[str], held_out: dict[str, int]) -> list[str]:
    if not train:
        folder = given if not _PATTERN.search(given) else given.rpartition("/")[0]
        remedy = f"name them if you want to read them: {folder.rstrip('/')}/holdout-*.tar"
        raise InputError("nothing but held-out shards", given, remedy)
    held_out[given] = len(tars) - len(train)
    return train


def _in_folder(given: str, config: SourceOptions, held_out: dict[str, int]) -> Iterator[Input]:
    fs, path = retrying_filesystem(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    if config.source is None and fs.isfile(f"{path.rstrip('/')}/corpus.json"):
        raise InputError("a corpus", given, f"give its shards: {given.rstrip('/')}/shards")
    kind = config.source or _kind_of_folder(given)
    if kind == "files":
        yield Input(named(path).rstrip("/"), kind)
        return
    if kind == "tars":
        names = [name for name, _ in Store(given).listing() if _is_data(name)]
        indexes = {name for name in names if name.endswith(".npy")}
        tars = [name for name in names if _kind(name) == "tars"]
        if not tars:
            raise InputError("no tar here", given, "give a folder with files that end in .tar")
        train = [name for name in tars if not _is_held_out(name, indexes.__contains__)]
        if len(train) < len(tars):
            tars = _without_held_out(given, tars, train, held_out)
        for name in tars:
            _check_tar(name)
            yield Input(f"{named(path).rstrip('/')}/{name}", kind, name)
        return
    below = len(path.rstrip("/")) + 1
    lists = [file for file in fs.find(path) if _is_list(file, config.reading) and _is_data(file[below:])]
    texts = [file for file in lists if suffixes(file)[0] == "txt"]
    if 0 < len(texts) < len(lists) and not config.reading.header:
        what = f"lists with columns, and {PurePosixPath(texts[0]).name} without"
        raise InputError(what, given, "name the files, or give a glob such as FOLDER/*.csv")
    if not lists:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    for file in lists:
        yield Input(named(file), kind)


def _is_data(name: str) -> bool:
    """Returns whether a file below a folder is data.

    Names that begin with a dot or an underscore belong to tools (`_SUCCESS`, `._a.csv`, `.ipynb_checkpoints/`,
    `_temporary/`), except for partitions such as `_day=1`. Spark, DuckDB and Arrow use the same rule.
    """
    parts = name.split("/")
    return not any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def _is_list(file: str, reading: Preset) -> bool:
    suffix, packed = suffixes(file)
    if reading.header:
        return suffix in _HEADLESS and (suffix != "" or packed != "")  # LICENSE has no suffix either
    return suffix in _FORMATS


def _kind(file: str) -> InputKind:
    """Returns the kind of a file by its suffix; what is neither tar nor image is taken for a list."""
    suffix, packed = suffixes(file)
    if suffix == "tar" or (suffix in _PACKED_TARS and not packed):
        return "tars"
    return "files" if suffix in IMAGE_SUFFIXES and not packed else "lists"


def _check_tar(file: str) -> None:
    suffix, packed = suffixes(file)
    if packed or suffix in _PACKED_TARS:
        what = "a compressed tar, in which images have no byte ranges"
        raise InputError(what, file, "unpack it to a plain .tar (gunzip, unzstd, bunzip2)")


def _kind_of_folder(given: str) -> InputKind:
    """Returns the kind of a folder by the names of its first files.

    Tars with Parquet files of the same names, as img2dataset writes them, are tars. A list (.txt only) with the name of
    an image belongs to the image, and so does METADATA beside any image.
    """
    names = [name for name, _ in islice(Store(given).listing(), FILES_EXAMINED)]
    stems: dict[InputKind, set[str]] = {"tars": set(), "files": set(), "lists": set()}
    for name in names:
        kind = _kind(name)
        is_data = _is_data(name) if kind != "files" else not name.startswith(".") and "/." not in name
        if is_data and (kind != "lists" or suffixes(name)[0] in _FORMATS):
            stems[kind].add(_stem(name))
    if stems["files"]:
        stems["lists"] -= {_stem(name) for name in names if PurePosixPath(name).name in METADATA}
    tars, files, lists = stems["tars"], stems["files"], stems["lists"]
    if tars and not files and (lists <= tars or not lists):
        return "tars"
    if files and not tars and not lists - files:
        return "files"
    if tars or files:
        found = " and ".join(kind for kind, some in (("lists", lists), ("tars", tars), ("pictures", files)) if some)
        raise InputError(
            f"{found} in one folder", given, "say which with --source lists, tars or files, or give a glob"
        )
    return "lists"


def _stem(name: str) -> str:
    """Returns path and name up to the last dot."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)
