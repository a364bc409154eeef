"""The noun table as arrays, and the file that they are packed into."""

import io
import zipfile
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagmill.shards.errors import TagmillError

NOUNS_FILE = "nouns.npz"


@dataclass(frozen=True, kw_only=True)
class Table:
    """WordNet's nouns: S synsets in the order of their offsets, F squashed forms in ASCII order.

    A *row* is an index into `synsets`. Where an item has several rows, item i has `x[x_bounds[i]:x_bounds[i + 1]]`.
    Texts are ASCII bytes with one line an item, each ended by a newline.
    """

    synsets: NDArray[np.int32]  # [S] offsets of WordNet 3.0, the number in `n02132136`, ascending
    lexfiles: NDArray[np.uint8]  # [S] lexicographer file: 5 animal, 6 artifact, 13 food, 18 person, ...
    instances: NDArray[np.bool_]  # [S] a named entity: it has an instance hypernym
    lemmas: NDArray[np.uint8]  # text, S lines: the lemmas of a synset as written (`Ursus_arctos`), spaces between
    hypernyms: NDArray[np.int32]  # rows, those of an instance are its instance hypernyms
    hypernyms_bounds: NDArray[np.int32]  # [S + 1]
    forms: NDArray[np.uint8]  # text, F lines: lemmas without case and separators (`ursusarctos`)
    senses: NDArray[np.int32]  # rows, the commonest sense of the form first
    senses_bounds: NDArray[np.int32]  # [F + 1]
    exceptions: NDArray[np.uint8]  # text: an irregular plural and its base forms, squashed, spaces between


def text_lines(text: NDArray[np.uint8]) -> list[str]:
    """Returns the items of a text array."""
    return text.tobytes().decode("ascii").splitlines()


def line_text(lines: list[str]) -> NDArray[np.uint8]:
    """Returns a text array of these items."""
    return np.frombuffer("".join(f"{line}\n" for line in lines).encode("ascii"), dtype=np.uint8)


def packed_table(table: Table) -> bytes:
    """Returns the bytes of a `.npz` file without timestamps or compression: equal tables, equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for field in fields(table):
            member = io.BytesIO()
            np.lib.format.write_array(member, getattr(table, field.name), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{field.name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue())
    return out.getvalue()


def unpacked_table(packed: bytes) -> Table:
    """Returns the table of these bytes. Raises TagmillError if they are not from `packed_table`."""
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            arrays: dict[str, Any] = {field.name: archive[field.name] for field in fields(Table)}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise TagmillError(
            f"the WordNet table cannot be read: {error}", where=NOUNS_FILE, remedy="install tagmill again"
        ) from error
    return Table(**arrays)


def shipped() -> Table:
    """Returns the table that is installed with the package."""
    try:
        packed = files("tagmill.ingest.labels.wordnet").joinpath(NOUNS_FILE).read_bytes()
    except FileNotFoundError as error:
        raise TagmillError(
            "the WordNet table is missing from the installation", where=NOUNS_FILE, remedy="install tagmill again"
        ) from error
    return unpacked_table(packed)
