"""PDQ hashes of the pictures that set work compares, in plain files on the spool: written once, then read in blocks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.errors import TagmillError

Words = npt.NDArray[np.uint64]  # [rows, 4]
Records = npt.NDArray[np.void]  # of RECORD
# weight = what a crowded bucket is cut by, the largest first: of an existing corpus, then pixels, then quality.
RECORD = np.dtype([("row_id", "<i8"), ("weight", "<i8"), ("pdq", "<u8", (4,))])
BLOCK = 1 << 18  # records, 12 MB
_EXISTING, _QUALITY_BITS = 62, 7
_FACTORS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xFF51AFD7ED558CCD], np.uint64
)


@dataclass
class HashFile:
    """Records in a local file."""

    path: Path
    rows: int = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Appends rows of row_id, existing, pixels, pdq0 to pdq3 and pdq_quality, none of them null."""
        self.path.touch()
        with full_disk(self.path), self.path.open("ab") as file:
            for batch in batches:
                records = np.empty(len(batch), RECORD)
                columns = {name: batch[name].to_numpy() for name in batch.schema.names}
                records["row_id"] = columns["row_id"]
                weight = columns["pixels"].astype(np.int64) << _QUALITY_BITS
                weight |= np.clip(columns["pdq_quality"], 0, 100).astype(np.int64)
                records["weight"] = weight | columns["existing"].astype(np.int64) << _EXISTING
                for word in range(4):
                    records["pdq"][:, word] = columns[f"pdq{word}"].view(np.uint64)
                records.tofile(file)
                self.rows += len(records)

    def append(self, records: Records) -> None:
        with full_disk(self.path), self.path.open("ab") as file:
            records.tofile(file)
        self.rows += len(records)

    @property
    def bytes(self) -> int:
        return self.rows * RECORD.itemsize

    def blocks(self) -> Iterator[Records]:
        """All records in order, BLOCK at a time."""
        with self.path.open("rb") as file:
            while len(records := np.fromfile(file, RECORD, BLOCK)):
                yield records

    def unlink(self) -> None:
        self.path.unlink(missing_ok=True)


class full_disk:  # noqa: N801, a context manager that reads as a clause
    """Says that the spool is full where writing to it fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            what = f"set work ran out of room: {error.strerror or error}"
            raise TagmillError(what, self._path.parent, "give a spool folder on a larger disk") from error


def quality_of(records: Records) -> npt.NDArray[np.int64]:
    """PDQ's quality, 0 to 100."""
    return np.asarray(records["weight"] & (1 << _QUALITY_BITS) - 1)


def is_existing(records: Records) -> npt.NDArray[np.bool_]:
    """Which are of an existing corpus."""
    return np.asarray(records["weight"] >= 1 << _EXISTING)


def mixed(pdq: Words, mask: Words) -> npt.NDArray[np.uint64]:
    """64 bits that are equal where hashes agree on the bits of `mask`, uint64 [4], and else hardly ever."""
    key = (pdq[:, 0] & mask[0]) * _FACTORS[0]
    for word in range(1, 4):
        if mask[word]:
            key += (pdq[:, word] & mask[word]) * _FACTORS[word]
    key ^= key >> np.uint64(32)
    key *= _FACTORS[4]
    return np.asarray(key, np.uint64)


def near_pairs(left: Words, right: Words, threshold: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Which of the pairs of hashes [n, 4] differ in at most `threshold` bits, and in how many; two words tell most apart."""
    bits = np.bitwise_count(left ^ right)
    near = np.flatnonzero(bits[:, 0] + bits[:, 1] <= threshold)
    apart = bits[near].sum(axis=1, dtype=np.uint16)
    fits = apart <= threshold
    return near[fits], apart[fits]


class Packed:
    """Keys in order, each with its place: as many upper bits of the key as fit above the place, so that sorting is cheap.

    What lies beside each other in a run of equal prefixes *may* have the same key.
    """

    def __init__(self, key: npt.NDArray[np.uint64]) -> None:
        shift = np.uint64(max(1, len(key) - 1).bit_length())
        order = key >> shift
        order <<= shift
        order |= np.arange(len(key), dtype=np.uint64)
        order.sort()
        self.places = (order & (np.uint64(1) << shift) - np.uint64(1)).view(np.int64)
        self.prefix = order
        self.prefix >>= shift

    def repeated(self, lag: int = 1) -> npt.NDArray[np.int64]:
        """Positions whose prefix is that of the position `lag` further on too."""
        return (
            np.flatnonzero(self.prefix[lag:] == self.prefix[:-lag]) if len(self.prefix) > lag else np.zeros(0, np.int64)
        )


class Piles:
    """Records dealt by the top bits of a mixed key, so that each pile fits into memory: one is held, more lie on the spool."""

    def __init__(self, folder: Path, name: str, piles: int) -> None:
        """`piles` is a power of two."""
        self._paths = [folder / f"{name}-{pile:04d}.hashes" for pile in range(piles)]
        self._shift = np.uint64(64 - (piles.bit_length() - 1))
        self._held: list[Records] = []
        self._where = folder

    def deal(self, blocks: Iterable[Records], mask: Words) -> int:
        """Deals all records and returns how many bytes went to the spool."""
        if len(self._paths) == 1:
            self._held = list(blocks)
            return 0
        spilled = 0
        files = [path.open("wb") for path in self._paths]
        try:
            with full_disk(self._paths[0]):
                for records in blocks:
                    piles = (mixed(records["pdq"], mask) >> self._shift).astype(np.uint16)
                    dealt = records.take(piles.argsort(kind="stable"))
                    cuts = np.bincount(piles, minlength=len(files)).cumsum()
                    for file, pile in zip(files, np.split(dealt, cuts[:-1]), strict=True):
                        pile.tofile(file)
                    spilled += dealt.nbytes
        finally:
            for file in files:
                file.close()
        return spilled

    def __iter__(self) -> Iterator[Records]:
        """Each pile as one array; what it took on the spool is given back."""
        if len(self._paths) == 1:
            held, self._held = self._held, []
            yield np.concatenate(held) if held else np.empty(0, RECORD)
            return
        for path in self._paths:
            records = np.fromfile(path, RECORD)
            path.unlink()
            yield records
