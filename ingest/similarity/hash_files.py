"""PDQ hashes of the pictures that set work compares, in plain files on the spool: written once, then read in blocks."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
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

    def read(self) -> Records:
        """All records, which must fit into memory."""
        return np.fromfile(self.path, RECORD)

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


def mixed_bits(pdq: Words, mask: Words) -> npt.NDArray[np.uint64]:
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


class PackedHashes:
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


class Spills:
    """Records dealt to files on the spool by a number of each."""

    def __init__(self, folder: Path, name: str, piles: int) -> None:
        self.files = [HashFile(folder / f"{name}-{pile:04d}.hashes") for pile in range(piles)]

    def deal(self, blocks: Iterable[Records], number_of: Callable[[Words], npt.NDArray[np.uint16]]) -> int:
        """Deals all records by what is made of their hashes and returns how many bytes went to the spool."""
        spilled = 0
        with ExitStack() as stack:
            stack.enter_context(full_disk(self.files[0].path))
            files = [stack.enter_context(pile.path.open("wb")) for pile in self.files]
            for records in blocks:
                numbers = number_of(records["pdq"])
                dealt = records.take(numbers.argsort(kind="stable"))
                counts = np.bincount(numbers, minlength=len(files))
                for pile, file, some in zip(self.files, files, np.split(dealt, counts.cumsum()[:-1]), strict=True):
                    some.tofile(file)
                    pile.rows += len(some)
                spilled += dealt.nbytes
        return spilled

    def __iter__(self) -> Iterator[HashFile]:
        """Each pile, whose room on the spool is given back when the next is asked for."""
        for pile in self.files:
            yield pile
            pile.unlink()


def by_key(mask: Words, piles: int) -> Callable[[Words], npt.NDArray[np.uint16]]:
    """Numbers below `piles`, a power of two, by the upper bits of the mixed key: even, however the bits of hashes fall."""
    shift = np.uint64(64 - (piles.bit_length() - 1))
    if piles == 1:
        return lambda pdq: np.zeros(len(pdq), np.uint16)
    return lambda pdq: (mixed_bits(pdq, mask) >> shift).astype(np.uint16)
