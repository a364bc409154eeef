"""The images of a part of a corpus, as they are stored."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tagmill.shards import ShardReader, Store, Unreadable
from tagmill.shards.formats.shard_index import INDEX, key_hex
from tagmill.shards.takedown import TAKEN_DOWN
from tagmill.studies.scores.corpus_parts import CorpusPart

ALTERED: Final = "altered"


class PartImages:
    """Reads the images of a part by their places in it."""

    def __init__(self, shards: Store, manifest_digest: bytes, part: CorpusPart) -> None:
        """`shards`: the store of a corpus's shards. Reads the index of the part. Raises IntegrityError for an index that was
        cut or is missing, and StoreError."""
        self._readers = [ShardReader(shards, each.shard, manifest_digest, each.taken_down) for each in part.ranges]
        records, gone = [np.empty(0, INDEX)], [np.empty(0, np.bool_)]
        for reader, each in zip(self._readers, part.ranges, strict=True):
            records.append(reader.index(each.start, each.stop))
            gone.append(reader.is_taken_down(np.arange(each.start, each.stop)))
        self._records: npt.NDArray[np.void] = np.concatenate(records)
        self._gone = np.concatenate(gone)
        self._ends = np.cumsum([each.stop - each.start for each in part.ranges])

    def __len__(self) -> int:
        return len(self._records)

    def keys(self) -> list[str]:
        """Returns the key of each sample, 32 hex digits."""
        return [key_hex(record) for record in self._records]

    def read(self, places: Sequence[int]) -> list[tuple[bytes | None, str]]:
        """Returns of each place, ascending, a JPEG and '', or None and a reason: TAKEN_DOWN for a sample that must not be read,
        ALTERED for bytes that are not those that were written. Raises IntegrityError for a shard that was cut or is missing,
        and StoreError."""
        found: list[tuple[bytes | None, str]] = [(None, TAKEN_DOWN)] * len(places)
        wanted = np.array(places, np.int64)
        shards = np.searchsorted(self._ends, wanted, side="right")
        for shard in np.unique(shards).tolist():
            turns = np.flatnonzero((shards == shard) & ~self._gone[wanted])
            pictures = self._readers[shard].pictures(self._records[wanted[turns]])
            for turn, picture in zip(turns.tolist(), pictures, strict=True):
                found[turn] = (None, picture.reason) if isinstance(picture, Unreadable) else (picture, "")
        return found
