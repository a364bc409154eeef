"""Emoji of two makers: images of 64 pixels, the subgroup of an emoji as its class."""

import csv
import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagmill.shards import InputError

COLUMNS = ("path", "label", "group", "name", "short_name")
TABLE = "package/emoji.json"
MOST_BYTES = 128 << 20  # of the table and the images of a package, after unpacking
_IMAGE = re.compile(r"[0-9a-f]{4,5}(-[0-9a-f]{4,5})*\.png")


@dataclass(frozen=True)
class Emoji:
    """An emoji, without its skin tones."""

    image: str  # name of its file
    subgroup: str
    group: str  # the code of the emoji that replaced it, if any, as the two may look the same; else its own
    name: str
    short_name: str


def write_emoji(archives: Mapping[str, Path], folder: Path) -> dict[str, int]:
    """Writes `MAKER/*.png` and `MAKER.csv` for each maker, and `both.csv` for all of them; returns the number of images of
    each. Raises InputError for an archive without a table of emoji."""
    counts, rows = dict[str, int](), list[tuple[str, ...]]()
    for maker, archive in archives.items():
        own = list(_write_images(archive, maker, folder / maker))
        _write_table(folder / f"{maker}.csv", own)
        counts[maker] = len(own)
        rows += own
    _write_table(folder / "both.csv", rows)
    return counts


def parse_emoji(data: bytes, maker: str) -> list[Emoji]:
    """Returns the emoji that a maker has an image of, in the order of the standard. Raises InputError for another table."""
    try:
        rows = [row for row in json.loads(data) if row[f"has_img_{maker}"]]
        rows.sort(key=lambda row: int(row["sort_order"]))
        found = [
            Emoji(
                str(row["image"]),
                str(row["subcategory"]),
                str(row.get("obsoleted_by") or row["unified"]),
                str(row["name"]).lower(),
                str(row["short_name"]),
            )
            for row in rows
        ]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"no table of emoji: {type(error).__name__}: {error}", f"emoji.json of {maker}") from error
    if bad := [emoji.image for emoji in found if not _IMAGE.fullmatch(emoji.image)]:
        raise InputError(f"{bad[0]!r:.40} is not the name of an image", f"emoji.json of {maker}")
    return found


def _write_images(archive: Path, maker: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """Writes the images of a maker; yields their rows. Names of files are made here."""
    folder.mkdir(parents=True, exist_ok=True)
    images = f"package/img/{maker}/64/"
    files = _files(archive, images)
    for emoji in parse_emoji(_file(files, TABLE), maker):
        (folder / emoji.image).write_bytes(_file(files, images + emoji.image))
        yield f"{maker}/{emoji.image}", emoji.subgroup, emoji.group, emoji.name, emoji.short_name


def _files(archive: Path, images: str) -> dict[str, bytes]:
    """Returns the table and the images of a package. They are read in their order: to go back in a packed archive is to
    unpack it from its start."""
    found, room = dict[str, bytes](), MOST_BYTES
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                if member.isreg() and (member.name == TABLE or member.name.startswith(images)):
                    room -= member.size
                    if room < 0:
                        raise InputError(f"more than {MOST_BYTES:,} bytes of emoji", archive.name)
                    file = tar.extractfile(member)
                    found[member.name] = b"" if file is None else file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"no archive of a package: {error}", archive.name) from error
    return found


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise InputError(f"no {name} in the package", "emoji")
    return files[name]


def _write_table(file: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
