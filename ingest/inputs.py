"""What an ingest reads: which lists, tars and folders of pictures its inputs name, and in which order."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Literal

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.presets import Preset
from tagmill.ingest.unpack import PACKED
from tagmill.shards.errors import InputError
from tagmill.shards.store import Store, is_local, patient

Kind = Literal["lists", "tars", "files"]
ROW_BITS = 40  # row_id = file ordinal << 40 | row ordinal
LOOKED_AT = 10_000  # files of a folder by which it is judged what it holds
PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif")
_FORMATS = {"parquet": "parquet", "pq": "parquet", "csv": "csv", "tsv": "tsv", "jsonl": "json", "ndjson": "json"}
_FORMATS |= {"txt": "txt"}
_HEADLESS = frozenset(["", "tsv", "txt"])  # suffixes of files whose columns a preset names
_PACKED_TARS = frozenset(["tgz", "tbz2", "tzst"])
_GIVE = (
    "give Parquet (.parquet), CSV (.csv), TSV (.tsv), JSON lines (.jsonl) or a URL a line (.txt), the last four "
    + ("packed (.gz, .zst, .bz2) or not; WebDataset tars (.tar), or a folder of pictures")
)


@dataclass(frozen=True, order=True, slots=True)
class Input:
    """What has one file ordinal: a list, a tar, or a whole folder of pictures."""

    url: str
    kind: Kind
    name: str = ""  # of a tar, below the input that named it


def inputs(config: IngestConfig) -> list[Input]:
    """Every input once, sorted by its whole name: their order gives the file ordinals.

    Raises InputError: nothing there, a format that is not read, a folder in which lists and bytes are mixed.
    """
    found: dict[str, Input] = {}
    for given in config.input:
        for each in _expand(given, config):
            found.setdefault(each.url, each)
    if len(found) >= 1 << 63 - ROW_BITS:
        raise InputError(f"{len(found)} files", ", ".join(config.input), "join some of them")
    if any(each.kind != "lists" for each in found.values()) and config.reading.header:
        what = f"the preset {config.preset} is for lists"
        raise InputError(what, ", ".join(config.input), "name the columns by their flags")
    for each in found.values():
        if each.kind == "lists":
            format_of(each.url, config.reading)
    return [found[url] for url in sorted(found)]


def suffixes(url: str) -> tuple[str, str]:
    """('csv', 'gz') of 'list.csv.gz', ('csv', '') of 'list.csv'."""
    parts = [part.lower() for part in PurePosixPath(url).name.split(".")[1:]]
    if parts and parts[-1] in PACKED:
        return (parts[-2] if len(parts) > 1 else ""), parts[-1]
    return (parts[-1] if parts else ""), ""


def format_of(url: str, reading: Preset) -> str:
    """The format of a list: parquet, csv, tsv, json, txt, or headless where a preset names the columns."""
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


def _expand(given: str, config: IngestConfig) -> Iterator[Input]:
    """What an input names. A folder gives what is in it of one kind, and not two kinds by accident."""
    fs, path = patient(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    if any(c in path for c in "*?["):
        files = [file for file in fs.glob(path) if fs.isfile(file)]
    elif fs.isdir(path):
        yield from _in_folder(given, config)
        return
    else:
        files = [path] if fs.isfile(path) else []
    if not files:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    for file in files:
        kind = config.source or _kind(file)
        if kind == "files":
            raise InputError("a picture by itself", given, "give the folder that it lies in, with --source files")
        if kind == "tars":
            _check_tar(file)
        yield Input(named(file), kind, PurePosixPath(file).name)


def _in_folder(given: str, config: IngestConfig) -> Iterator[Input]:
    fs, path = patient(given)
    named = (lambda found: str(found)) if is_local(given) else fs.unstrip_protocol
    kind = config.source or _kind_of_folder(given)
    if kind == "files":
        yield Input(named(path).rstrip("/"), kind)
        return
    if kind == "tars":
        tars = [name for name, _ in Store(given).listing() if _kind(name) == "tars"]
        if not tars:
            raise InputError("no tar here", given, "give a folder with files that end in .tar")
        for name in tars:
            _check_tar(name)
            yield Input(f"{named(path).rstrip('/')}/{name}", kind, name)
        return
    lists = [file for file in fs.find(path) if _is_list(file, config.reading)]
    texts = [file for file in lists if suffixes(file)[0] == "txt"]
    if 0 < len(texts) < len(lists) and not config.reading.header:
        what = f"lists with columns, and {PurePosixPath(texts[0]).name} without"
        raise InputError(what, given, "name the files, or give a glob such as FOLDER/*.csv")
    if not lists:
        raise InputError("no input here", given, f"check the name; {_GIVE}")
    for file in lists:
        yield Input(named(file), kind)


def _is_list(file: str, reading: Preset) -> bool:
    suffix, packed = suffixes(file)
    if reading.header:
        return suffix in _HEADLESS and (suffix != "" or packed != "")  # LICENSE has no suffix either
    return suffix in _FORMATS


def _kind(file: str) -> Kind:
    """By the suffix alone; what is neither tar nor picture is a list, or is refused as one."""
    suffix, packed = suffixes(file)
    if suffix == "tar" or (suffix in _PACKED_TARS and not packed):
        return "tars"
    return "files" if suffix in PICTURES and not packed else "lists"


def _check_tar(file: str) -> None:
    suffix, packed = suffixes(file)
    if packed or suffix in _PACKED_TARS:
        what = "a packed tar: a picture's bytes have no place of their own in it"
        raise InputError(what, file, "unpack it to a plain .tar (gunzip, unzstd, bunzip2)")


def _kind_of_folder(given: str) -> Kind:
    """By the names of its first files. Tars with Parquet files of the same names are what img2dataset makes, and tars.

    A list (.txt alone) beside a picture of its name belongs to the picture.
    """
    names = [name for name, _ in islice(Store(given).listing(), LOOKED_AT)]
    stems: dict[Kind, set[str]] = {"tars": set(), "files": set(), "lists": set()}
    for name in names:
        kind = _kind(name)
        if kind != "lists" or suffixes(name)[0] in _FORMATS:
            stems[kind].add(_stem(name))
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
    """Path and name up to the last dot."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + (last.rpartition(".")[0] or last)
