"""Computes how many of the planted near copies and near leaks can be found, by comparing all PDQ hashes.

Deduplication is held to it: leaks are compared completely too, near copies by tables that miss as few as predicted.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tagmill.ingest.config.image_policy import ImagePolicy
from tagmill.ingest.dedup.near_duplicates import NearRules
from tagmill.ingest.images.fingerprint import fingerprint
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.report import REPORT_FILE
from tagmill.ingest.similarity.hamming_index import HammingIndex, scheme_of

THRESHOLD, QUALITY = NearRules().threshold, NearRules().quality  # the demo's ingest has the defaults
Hashes = Mapping[Path, tuple[int, ...]]


@dataclass(frozen=True)
class Ceiling:
    """The planted rows whose hash is near enough to be found."""

    copies: dict[int, int]  # rows of kind near_copy that are near their original, with the bits that differ
    leaks: frozenset[int]  # rows of kind leak_near that are near any evaluation image
    predicted: list[float]  # share of near duplicates that the corpus's tables find, by bits that differ

    def most_missed(self) -> int:
        """Returns how many of `copies` the tables may miss: as many as predicted plus three standard deviations."""
        shares = [self.predicted[bits] for bits in self.copies.values()]
        return int(sum(1 - share for share in shares) + 3 * sum(share * (1 - share) for share in shares) ** 0.5)


def ceiling(web: Path, corpus: Path) -> Ceiling:
    """Computes the ceiling of a web and its corpus; fingerprints images in this process, some milliseconds each.

    Raises FileNotFoundError if an image of the truth is not in the web.
    """
    told = json.loads((corpus / "corpus.json").read_text())["image_policy"]
    policy = ImagePolicy(**{field.name: told[field.name] for field in fields(ImagePolicy) if field.name in told})
    truth = pq.read_table(web / "truth.parquet", columns=["row", "kind", "of", "file"]).to_pylist()
    file = {row["row"]: web / "pictures" / row["file"] for row in truth}
    copies = {row["row"]: file[int(row["of"])] for row in truth if row["kind"] == "near_copy"}
    leaks = [row["row"] for row in truth if row["kind"] == "leak_near"]
    apart = _near(_hashes((file[row] for row in copies), policy), _hashes(copies.values(), policy))
    held_out = sorted((web / "evaluation").rglob("*.jpg")) if leaks else []
    met = {asked for asked, _ in _near(_hashes((file[row] for row in leaks), policy), _hashes(held_out, policy))}
    near = json.loads((corpus / REPORT_FILE).read_text())["sets"]["near"]
    return Ceiling(
        {row: apart[file[row], original] for row, original in copies.items() if (file[row], original) in apart},
        frozenset(row for row in leaks if file[row] in met),
        near["predicted"] if near else [0.0] * (THRESHOLD + 1),
    )


def _hashes(paths: Iterable[Path], policy: ImagePolicy) -> Hashes:
    """Returns the hashes of images with enough detail."""
    found = {}
    for path in dict.fromkeys(paths):
        body = path.read_bytes()
        made = prepare(body, policy)
        if isinstance(made, Prepared):
            prints = fingerprint(body, made.thumbnail)
            if prints.pdq_quality >= QUALITY:
                found[path] = prints.pdq
    return found


def _near(asked: Hashes, listed: Hashes) -> dict[tuple[Path, Path], int]:
    """Returns the differing bits of every pair within THRESHOLD."""
    words = [np.array(list(side.values()), np.int64).reshape(-1, 4).view(np.uint64) for side in (asked, listed)]
    matcher = HammingIndex(words[1], THRESHOLD, scheme_of(THRESHOLD, 1), wide=False)
    left, right = list(asked), list(listed)
    return {(left[one], right[other]): int(bits) for one, other, bits in zip(*matcher.pairs(words[0]), strict=True)}
