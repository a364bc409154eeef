"""Makes a web of photographs: each many times, equal in pixels and different in bytes, and the list of their URLs."""

import hashlib
from pathlib import Path

from tagmill.bench import corpora, measure

_FOLDER = 1000  # files of one folder
_TAGS = ("sunset", "#BrownBear", "street", "dog", "castle", "portrait", "tulip")


def prepare(pictures: list[Path], count: int) -> Path:
    """Makes a folder with `count` JPEG files, once, under build/bench/."""
    whole = hashlib.sha256(f"1 {count}".encode())
    for path in pictures:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    folder = measure.ROOT / "build" / "bench" / "ingest" / whole.hexdigest()[:12]
    return corpora.once(folder, lambda place: _make(pictures, count, place))


def name_of(number: int) -> str:
    """Returns the path of a copy, in the folder and on the web."""
    return f"{number // _FOLDER:03d}/{number:06d}.jpg"


def _make(pictures: list[Path], count: int, folder: Path) -> None:
    bodies = [path.read_bytes() for path in pictures]
    for number in range(count):
        path = folder / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(numbered(bodies[number % len(bodies)], number))


def numbered(jpeg: bytes, number: int) -> bytes:
    """Returns a JPEG with a comment after its first marker (ITU-T T.81, B.2.4.5), so that no two copies have the same
    bytes."""
    text = b"copy %d" % number
    return jpeg[:2] + b"\xff\xfe" + (2 + len(text)).to_bytes(2, "big") + text + jpeg[2:]


def write_list(path: Path, web: str, count: int) -> None:
    """Writes Parquet with the columns url, tags and caption, as both programs read them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    urls = [f"{web}/{name_of(number)}" for number in range(count)]
    tags = [[_TAGS[number % 7], _TAGS[number % 5]] for number in range(count)]
    table = pa.table({"url": urls, "tags": pa.array(tags, pa.list_(pa.string())), "caption": list(map(" ".join, tags))})
    pq.write_table(table, path)
