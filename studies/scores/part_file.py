"""One part of the scores as a Parquet file: the same bytes for the same scores, with counts of skipped samples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards import IntegrityError
from tagmill.shards.arrays import Int32s
from tagmill.studies.scores.score_files import SCORES

COUNTS = "tagmill.counts"  # key of the file's metadata


@dataclass(frozen=True)
class PartCounts:
    """What a part has of its samples."""

    part: int
    samples: int  # with those that were skipped
    scored: int
    skipped: Mapping[str, int]  # samples without scores, by reason


def part_bytes(counts: PartCounts, keys: Sequence[str], labels: Int32s, scores: Int32s) -> bytes:
    """Returns the file of a part, with checksums. `keys`: of the samples with scores, [n]. `labels`, `scores`: their best
    labels, [n, P], best first."""
    top = labels.shape[1]
    place = pa.array(np.repeat(np.arange(len(keys), dtype=np.int32), top))
    columns = {
        "key": pa.DictionaryArray.from_arrays(place, pa.array(keys, pa.string())).cast(pa.string()),
        "label": pa.array(labels.reshape(-1), pa.int32()),
        "score": pa.array(scores.reshape(-1), pa.int32()),
    }
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCORES, compression="zstd", store_schema=False, write_page_checksum=True) as writer:
        writer.write_table(pa.table(columns, SCORES))
        writer.add_key_value_metadata({COUNTS: json.dumps(asdict(counts), sort_keys=True)})
    return bytes(sink.getvalue())


def read_counts(data: bytes, part: int, samples: int, top: int, where: str) -> PartCounts:
    """Reads the counts of a part's file. Raises IntegrityError for another file than that of this part."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        found: dict[str, Any] = json.loads((file.metadata.metadata or {})[COUNTS.encode()])
        counts = PartCounts(**found)
        if not file.schema_arrow.equals(SCORES):
            raise ValueError("other columns")
        if (counts.part, counts.samples, file.metadata.num_rows) != (part, samples, counts.scored * top):
            raise ValueError("other samples")
        if counts.scored + sum(counts.skipped.values()) != samples:
            raise ValueError("counts that disagree")
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        first = (str(error).splitlines() or [""])[0][:200]
        what = f"not the part of the scores that was written: {type(error).__name__}: {first}"
        raise IntegrityError(what, where, "delete the file, and run the command again") from error
    return counts
