"""Options of deduplication: near duplicates, placeholders, evaluation sets."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import SELECT, SELECT_CONTENT
from tagmill.shards.settings.ranges import Between

Bits = Annotated[int, Between(0, 64)]


@dataclass(frozen=True, kw_only=True)
class DuplicateOptions(Options):
    """Which images are left out because others are like them."""

    near_threshold: Annotated[int, Between(-1, 64)] = field(default=31, metadata=SELECT)
    """Maximum Hamming distance of near duplicates, bits of the 256 of a PDQ hash; -1 keeps near duplicates."""
    near_bits: Bits | None = field(default=None, metadata=SELECT)
    """Hash bits per LSH table; by default log2(number of images) - 1."""
    near_tables: Annotated[int, Between(1, 1024)] | None = field(default=None, metadata=SELECT)
    """Number of LSH tables; by default enough for 96 % recall at a Hamming distance of 16 bits."""
    near_quality: Annotated[int, Between(0, 100)] = field(default=50, metadata=SELECT)
    """Minimum PDQ quality; images of lower quality, which show little, are never near duplicates."""
    near_bucket: Annotated[int, Between(2, 10_000)] = field(default=100, metadata=SELECT)
    """Maximum size of an LSH bucket, images; in larger buckets only that many, the largest, are compared with all others."""
    placeholder_urls: Annotated[int, Between(0, 1 << 60)] = field(default=1000, metadata=SELECT)
    """Number of URLs with the same image that makes it a placeholder, which is left out; 0 keeps placeholders. Where its tags
    have nothing in common, a thousandth of the rows (at least 10) is enough."""
    evaluation_set: tuple[str, ...] = field(default=(), metadata=SELECT_CONTENT)
    """Evaluation sets as NAME=PATH, to find contamination: a folder of images or of tars, a tar, or a table of hashes."""
    evaluation: Literal["remove", "mark"] = field(default="remove", metadata=SELECT)
    """Remove images that are in an evaluation set or near it, or only list them in decontamination.parquet."""
    evaluation_threshold: Bits = field(default=31, metadata=SELECT)
    """Maximum Hamming distance to an evaluation image, bits of the 256 of a PDQ hash."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.placeholder_urls == 1:
            self._refuse("placeholder_urls", "give 0 or at least 2")
        if type(self.evaluation_set) is not tuple:
            self._refuse("evaluation_set", "give NAME=PATH, each name once")
        named = [text.partition("=") for text in self.evaluation_set]
        if not all(name and path for name, _, path in named) or len({name for name, _, _ in named}) < len(named):
            self._refuse("evaluation_set", "give NAME=PATH, each name once")
