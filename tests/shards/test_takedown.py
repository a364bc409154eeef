"""Tests the takedown list: rows are only added, and their meaning does not depend on how they were added."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import CorpusError
from tagmill.shards.takedown import LIST, PURGE, PURGED, SAMPLE, PurgedShard, Row, Takedown

AT = "2026-01-02T03:04:05+00:00"


def taken(shard: str, ordinal: int) -> Row:
    return Row(kind=SAMPLE, value=f"{ordinal:032x}", by="url", shard=shard, ordinal=ordinal, at=AT)


def purged(shard: str, digest: str) -> Row:
    return Row(kind=PURGED, shard=shard, tar_sha256=digest * 64, table_sha256=digest * 64, at=AT)


places = st.lists(st.tuples(st.sampled_from(["000000", "000001", "holdout-000000"]), st.integers(0, 9)), max_size=30)


@given(st.lists(places, max_size=4))
def test_every_list_contains_the_previous_one_and_its_ordinals_are_those_of_all_rows(
    generations: list[list[tuple[str, int]]],
) -> None:
    found, wanted = Takedown(), dict[str, set[int]]()
    for generation in generations:
        before, found = found, found.with_rows([taken(*place) for place in generation])
        assert found.holds(before) and found.holds(found)
        assert before.holds(found) == (not generation)
        for shard, ordinal in generation:
            wanted.setdefault(shard, set()).add(ordinal)
        read = Takedown.parse(found.data(), "here")
        assert read.table.equals(found.table) and read.data() == found.data()
        assert {shard: ordinals.tolist() for shard, ordinals in read.shards.items()} == {
            shard: sorted(ordinals) for shard, ordinals in sorted(wanted.items())
        }
        assert read.num_samples == sum(map(len, wanted.values())) and read.num_purged == 0
        assert all(read.ordinals(shard).dtype == np.uint32 for shard in ("000000", "another"))


def test_the_digest_of_listed_samples_is_independent_of_time_and_reason() -> None:
    first = Takedown().with_rows([taken("000000", 2), taken("000001", 1)])
    later = [replace(taken("000001", 1), at="2027", by="host"), replace(taken("000000", 2), note="asked for")]
    assert Takedown().samples_sha256 is None
    assert first.samples_sha256 == Takedown().with_rows(later).samples_sha256
    assert first.samples_sha256 != first.with_rows([taken("000000", 3)]).samples_sha256


def test_a_purge_covers_what_was_listed_before_it_began() -> None:
    """Samples that are listed meanwhile are not removed; the next purge removes them."""
    begun = Takedown().with_rows([taken("a", 1), taken("a", 5), taken("b", 0), Row(kind=PURGE, shard="a", at=AT)])
    assert begun.unfinished == {"a"} and begun.num_purged == 0 and begun.digests("a") is None
    assert begun.purging("a").tolist() == [1, 5] and begun.purging("b").tolist() == []
    done = begun.with_rows([taken("a", 3), purged("a", "1")])
    assert done.unfinished == set() and done.purged("a").tolist() == [1, 5] and done.purged("b").tolist() == []
    assert done.ordinals("a").tolist() == [1, 3, 5] and done.num_purged == 2
    assert done.digests("a") == PurgedShard("1" * 64, "1" * 64) and done.digests("b") is None
    again = done.with_rows([Row(kind=PURGE, shard="a", at=AT)])
    assert (
        again.unfinished == {"a"} and again.purged("a").tolist() == [1, 5] and again.purging("a").tolist() == [1, 3, 5]
    )
    end = again.with_rows([purged("a", "2")])
    assert end.purged("a").tolist() == [1, 3, 5] and end.digests("a") == PurgedShard("2" * 64, "2" * 64)


def test_rows_of_a_kind() -> None:
    rows = [Row(kind="host", value="example.org", at=AT, note="their wish"), taken("a", 1)]
    (found,) = Takedown().with_rows(rows).rows(["host", "url"])
    assert (found["value"], found["note"], found["at"]) == ("example.org", "their wish", AT)


@pytest.mark.parametrize("data", [b"", b"PAR1", Takedown().data()[:-9]], ids=["empty", "short", "cut"])
def test_invalid_lists_raise_a_one_line_error(data: bytes) -> None:
    with pytest.raises(CorpusError, match="not a takedown list") as caught:
        Takedown.parse(data, "here")
    assert "\n" not in str(caught.value) and caught.value.where == "here"


def test_a_list_with_other_columns_is_refused() -> None:
    from tagmill.shards.formats.parquet import table_bytes

    with pytest.raises(CorpusError, match="not a takedown list"):
        Takedown.parse(table_bytes([{"kind": "key"}], pa.schema([LIST.field("kind")])), "here")
