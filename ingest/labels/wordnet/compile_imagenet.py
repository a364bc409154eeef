"""Packs ImageNet's classes from lists: `python -m tagmill.ingest.labels.wordnet.compile_imagenet IN1K IN21K`.

IN1K and IN21K are text files with one id a line in class order: the 1,000 of ILSVRC 2012, and the 21,841 of
ImageNet-21k. timm has them (`timm/data/_info/imagenet_synsets.txt`, `imagenet22k_synsets.txt`). `imagenet.npz` is
written beside this file.
"""

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tagmill.ingest.labels.wordnet.imagenet import CLASSES, IMAGENET_FILE
from tagmill.ingest.labels.wordnet.table import shipped
from tagmill.shards.errors import TagmillError


def compile_lists(texts: Mapping[str, Path], expected: Mapping[str, int] = CLASSES) -> bytes:
    """Returns the bytes of the packed file. Raises TagmillError with file and line where a text is not that list."""
    known = frozenset(shipped().synsets.tolist())
    arrays = {}
    for name, path in texts.items():
        offsets = [_offset(line, known, f"{path}, line {number}") for number, line in enumerate(_lines(path), 1)]
        if len(set(offsets)) != len(offsets) or len(offsets) != expected[name]:
            what = f"{len(set(offsets))} different ids in {len(offsets)} lines, {expected[name]} expected"
            raise TagmillError(what, path, f"give the classes of {name}, one a line")
        arrays[name] = np.array(offsets, np.int32)
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TagmillError(f"cannot read the file: {error}", path, "give a text with an id a line") from error


def _offset(line: str, known: frozenset[int], where: str) -> int:
    if not re.fullmatch(r"n[0-9]{8}", line) or int(line[1:]) not in known:
        raise TagmillError(f"no noun synset {line!r} in WordNet 3.0", where, "give ids as n01440764")
    return int(line[1:])


def main(arguments: list[str], into: Path = Path(__file__).parent, expected: Mapping[str, int] = CLASSES) -> int:
    """Writes the packed file into the folder, or prints in one line why it cannot. Returns an exit status."""
    if len(arguments) != len(expected):
        sys.stderr.write(
            "usage: python -m tagmill.ingest.labels.wordnet.compile_imagenet IN1K IN21K (texts with an id a line)\n"
        )
        return 2
    try:
        packed = compile_lists(dict(zip(expected, map(Path, arguments), strict=True)), expected)
        (into / IMAGENET_FILE).write_bytes(packed)
    except (TagmillError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
