"""Emoji of two makers: images of 64 pixels, the subgroup of an emoji as its class."""

import csv
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagmill.shards import InputError

COLUMNS = ("path", "label", "group", "name", "short_name")
MOST_TABLE, MOST_IMAGE = 16 << 20, 1 << 20  # bytes
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
        with tarfile.open(archive, "r:gz") as tar:
            own = list(_write_images(tar, maker, folder / maker))
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


def _write_images(tar: tarfile.TarFile, maker: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """Writes the images of a maker; yields the rows of those that the archive has. Names of files are made here."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {member.name: member for member in tar if member.isreg()}
    for emoji in parse_emoji(_bytes(tar, members, "package/emoji.json", MOST_TABLE), maker):
        data = _bytes(tar, members, f"package/img/{maker}/64/{emoji.image}", MOST_IMAGE)
        (folder / emoji.image).write_bytes(data)
        yield f"{maker}/{emoji.image}", emoji.subgroup, emoji.group, emoji.name, emoji.short_name


def _bytes(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str, most: int) -> bytes:
    member = members.get(name)
    if member is None or member.size > most:
        raise InputError(f"no {name} of at most {most:,} bytes", "the package")
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _write_table(file: Path, rows: Sequence[tuple[str, ...]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
