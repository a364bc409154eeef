"""Cuts the inputs of an ingest into pieces that are read independently, for readers on several machines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow.parquet as pq

from tagmill.ingest.config.sources import SourceOptions
from tagmill.ingest.sources.decompress import open_input
from tagmill.ingest.sources.inputs import Input, format_of

ROWS_IN_A_PIECE = 1 << 20  # rows of a Parquet list in a piece, about; a row group is never cut
TARS_IN_A_PIECE = 64  # their listings wait for a store, many at a time


@dataclass(frozen=True)
class Piece:
    """Whole inputs with their file ordinals, or some row groups of one Parquet list."""

    inputs: tuple[tuple[int, Input], ...]
    groups: range | None = None  # of the only input
    first_row: int = 0  # of these row groups


def is_parquet(given: Input, config: SourceOptions) -> bool:
    """Whether an input is a Parquet list, which `row_group_pieces` cuts."""
    return given.kind == "lists" and format_of(given.url, config.reading) == "parquet"


def whole_pieces(inputs: Sequence[tuple[int, Input]]) -> Iterator[Piece]:
    """Yields pieces of whole inputs: TARS_IN_A_PIECE tars, or one other input."""
    for tars, group in groupby(inputs, lambda each: each[1].kind == "tars"):
        some, size = list(group), TARS_IN_A_PIECE if tars else 1
        for start in range(0, len(some), size):
            yield Piece(tuple(some[start : start + size]))


def row_group_pieces(ordinal: int, given: Input) -> Iterator[Piece]:
    """Yields the pieces of a Parquet list, about ROWS_IN_A_PIECE rows each; one without row groups where it has no rows.

    Reads the footer. Raises InputError where the file is not Parquet.
    """
    with open_input(given.url) as file:
        metadata = pq.ParquetFile(file).metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    first_group = first_row = held = 0
    for group, size in enumerate(sizes):
        if held and held + size > ROWS_IN_A_PIECE:
            yield Piece(((ordinal, given),), range(first_group, group), first_row)
            first_group, first_row, held = group, first_row + held, 0
        held += size
    yield Piece(((ordinal, given),), range(first_group, len(sizes)), first_row)
