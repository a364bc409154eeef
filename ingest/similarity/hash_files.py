"""Files of PDQ hashes in the spool, for near duplicates and decontamination: written once, then read in blocks."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.errors import TagmillError

Words = npt.NDArray[np.uint64]  # [rows, 4]
Records = npt.NDArray[np.void]  # dtype RECORD
# weight: which hashes of a crowded bucket are compared first, the largest: existing corpus, then pixels, then quality.
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
        with explain_full_disk(self.path), self.path.open("ab") as file:
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
        with explain_full_disk(self.path), self.path.open("ab") as file:
            records.tofile(file)
        self.rows += len(records)

    @property
    def bytes(self) -> int:
        return self.rows * RECORD.itemsize

    def blocks(self) -> Iterator[Records]:
        """Yields all records in order, BLOCK at a time."""
        with self.path.open("rb") as file:
            while len(records := np.fromfile(file, RECORD, BLOCK)):
                yield records

    def read(self) -> Records:
        """Returns all records, which must fit into memory."""
        return np.fromfile(self.path, RECORD)

    def unlink(self) -> None:
        self.path.unlink(missing_ok=True)


class explain_full_disk:  # noqa: N801, a context manager that reads as a clause
    """Raises TagmillError with a remedy where writing to the spool fails."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            what = f"set operations ran out of space: {error.strerror or error}"
            raise TagmillError(what, self._path.parent, "give a spool folder on a larger disk") from error


def quality_of(records: Records) -> npt.NDArray[np.int64]:
    """Returns the PDQ quality, 0 to 100, [n]."""
    return np.asarray(records["weight"] & (1 << _QUALITY_BITS) - 1)


def is_existing(records: Records) -> npt.NDArray[np.bool_]:
    """Returns which records are of an existing corpus, [n]."""
    return np.asarray(records["weight"] >= 1 << _EXISTING)


def mixed_bits(pdq: Words, mask: Words) -> npt.NDArray[np.uint64]:
    """Returns 64-bit keys [n] that are equal where hashes agree on the bits of `mask`, uint64 [4], and else hardly ever."""
    key = (pdq[:, 0] & mask[0]) * _FACTORS[0]
    for word in range(1, 4):
        if mask[word]:
            key += (pdq[:, word] & mask[word]) * _FACTORS[word]
    key ^= key >> np.uint64(32)
    key *= _FACTORS[4]
    return np.asarray(key, np.uint64)


def near_pairs(left: Words, right: Words, threshold: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Returns which pairs of hashes [n, 4] differ in at most `threshold` bits, and their distances."""
    bits = np.bitwise_count(left ^ right)
    near = np.flatnonzero(bits[:, 0] + bits[:, 1] <= threshold)
    apart = bits[near].sum(axis=1, dtype=np.uint16)
    fits = apart <= threshold
    return near[fits], apart[fits]


class PackedHashes:
    """Sorted keys with their positions, packed into 64 bits: the upper bits of the key above the position, cheap to sort.

    Neighbours in a run of equal prefixes *may* have the same key.
    """

    def __init__(self, key: npt.NDArray[np.uint64]) -> None:
        shift = np.uint64(max(1, len(key) - 1).bit_length())
        order = key >> shift
        order <<= shift
        order |= np.arange(len(key), dtype=np.uint64)
        order.sort()
        self.positions = (order & (np.uint64(1) << shift) - np.uint64(1)).view(np.int64)
        self.prefix = order
        self.prefix >>= shift

    def repeated(self, lag: int = 1) -> npt.NDArray[np.int64]:
        """Returns the positions whose prefix equals that of the position `lag` further on."""
        return (
            np.flatnonzero(self.prefix[lag:] == self.prefix[:-lag]) if len(self.prefix) > lag else np.zeros(0, np.int64)
        )


class SpillPartitions:
    """Records partitioned into files in the spool."""

    def __init__(self, folder: Path, name: str, partitions: int) -> None:
        self.files = [HashFile(folder / f"{name}-{number:04d}.hashes") for number in range(partitions)]

    def write(self, blocks: Iterable[Records], partition_of: Callable[[Words], npt.NDArray[np.uint16]]) -> int:
        """Writes all records to the partitions that `partition_of` returns for their hashes. Returns the bytes written."""
        spilled = 0
        with ExitStack() as stack:
            stack.enter_context(explain_full_disk(self.files[0].path))
            files = [stack.enter_context(part.path.open("wb")) for part in self.files]
            for records in blocks:
                numbers = partition_of(records["pdq"])
                grouped = records.take(numbers.argsort(kind="stable"))
                counts = np.bincount(numbers, minlength=len(files))
                for part, file, some in zip(self.files, files, np.split(grouped, counts.cumsum()[:-1]), strict=True):
                    some.tofile(file)
                    part.rows += len(some)
                spilled += grouped.nbytes
        return spilled

    def __iter__(self) -> Iterator[HashFile]:
        """Yields each partition, and deletes it when the next one is requested."""
        for part in self.files:
            yield part
            part.unlink()


def partition_by_key(mask: Words, partitions: int) -> Callable[[Words], npt.NDArray[np.uint16]]:
    """Returns a function from hashes to partition numbers: the upper bits of the mixed key, evenly distributed.

    `partitions` is a power of two.
    """
    shift = np.uint64(64 - (partitions.bit_length() - 1))
    if partitions == 1:
        return lambda pdq: np.zeros(len(pdq), np.uint16)
    return lambda pdq: (mixed_bits(pdq, mask) >> shift).astype(np.uint16)
