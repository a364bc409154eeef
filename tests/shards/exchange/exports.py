"""What the tests of exports compare: the samples of `tests.shards.corpora` as an export should have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tagmill.shards.exchange.export import Exported, Wanted, export
from tagmill.shards.exchange.records import parts_of
from tagmill.shards.exchange.samples import Part
from tagmill.shards.manifest import SPLITS, Corpus
from tests.shards.corpora import make_corpus, sample

NAMES = ("bear", "crane", "oak")
REPEATS = (1.0, 0.0, 0.5, 2 + (65536 // 3) / 65536)


@dataclass(frozen=True)
class Wished:
    """A sample that must be in an export."""

    key: str
    image: bytes
    labels: list[int]
    repeat: float
    tags: list[str]
    url: str
    caption: str


def wished(number: int) -> Wished:
    """Sample `number` of the corpus: 5 and 7 of the train split, 3 of the other."""
    made, ordinal = sample(number), number - (0 if number < 5 else 5 if number < 12 else 12)
    record = made.record
    facts = (list(record.tags), str(record.url), f"caption {number}")
    return Wished(record.key, made.jpeg, [ordinal % 3], REPEATS[ordinal % 4], *facts)


def corpus_in(folder: Path) -> Corpus:
    return make_corpus(str(folder / "corpus"), folder / "spool")


def parts(corpus: Corpus, splits: Sequence[str] = SPLITS, limit: int | None = None) -> list[Part]:
    return parts_of(corpus.entries, splits, limit)


def exported(folder: Path, format: str = "parquet", **changes: object) -> Exported:
    """Exports `folder`/corpus to `folder`/FORMAT."""
    return export(Wanted(str(folder / "corpus"), str(folder / format), format, **changes))  # type: ignore[arg-type]
