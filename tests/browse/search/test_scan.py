"""The walk over shards: pages join to the whole result, whatever their size and the time, and nothing taken down is in it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.search.cursor import Cursor
from tagmill.browse.search.matchers import AnySample, FromHost, Matcher, WithKey, WithLabel, WithTag
from tagmill.browse.search.scan import Found, scan
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.shards.errors import ConfigError
from tagmill.shards.purge import record
from tagmill.shards.takedown import SAMPLE, Row
from tests.shards.corpora import make_corpus, sample


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Shards of 5, 7, 1 and 4 samples, and a held-out one of 3; sample 2 of the second shard is taken down."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = make_corpus(str(folder / "corpus"), folder / "spool", (5, 7, 1, 4))
    record(corpus, [Row(kind=SAMPLE, at="now", shard="000001", ordinal=2, value=sample(7).record.key, by="key")])
    return CorpusWatch(str(folder / "corpus"), None).now()


def everything(snapshot: Snapshot) -> list[tuple[int, int]]:
    return [
        (shard, ordinal)
        for shard, samples in enumerate(snapshot.corpus.column("samples").tolist())
        for ordinal in range(samples)
        if (shard, ordinal) != (1, 2)
    ]


def pages(snapshot: Snapshot, matcher: Matcher, most: int, times: Iterator[float]) -> Iterator[Found]:
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        found = scan(snapshot, matcher, cursor, most, clock=lambda: next(times))
        yield found
        assert found.after is None or found.after > cursor
        cursor = found.after


def bears(snapshot: Snapshot) -> list[tuple[int, int]]:
    return [(shard, ordinal) for shard, ordinal in everything(snapshot) if ordinal % 3 == 0]


@settings(max_examples=30)
@given(most=st.integers(1, 30), step=st.sampled_from([0.0, 1.0, 10.0]))
@pytest.mark.parametrize("matcher", [AnySample("default"), WithLabel("default", (0,)), WithTag("bear")], ids=repr)
def test_pages_join_to_the_whole_result(snapshot: Snapshot, matcher: Matcher, most: int, step: float) -> None:
    found = list(pages(snapshot, matcher, most, (step * tick for tick in count())))
    hits = [(hit.shard, hit.ordinal) for page in found for hit in page.hits]
    assert hits == (bears(snapshot) if isinstance(matcher, WithLabel) else everything(snapshot))
    shares = [page.searched for page in found]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert all(len(page.hits) <= most and not page.errors for page in found)


def test_a_page_ends_when_its_time_is_used_up_and_says_how_far_it_came(snapshot: Snapshot) -> None:
    times = iter([0.0, 4.9, 5.0, 99.0])
    found = scan(snapshot, WithKey("00" * 16), Cursor(), 10, clock=lambda: next(times))
    assert not found.hits and found.after == Cursor(2)
    assert found.searched == 12 / 20


def test_without_a_limit_of_time_the_whole_corpus_is_searched(snapshot: Snapshot) -> None:
    times = (1e6 * tick for tick in count())
    found = scan(snapshot, WithKey("00" * 16), Cursor(), 10, seconds=None, clock=lambda: next(times))
    assert found.after is None and found.searched == 1.0


@given(number=st.integers(0, 19), digits=st.sampled_from([8, 16, 32]))
def test_a_key_or_its_beginning_finds_its_sample_unless_it_is_taken_down(
    snapshot: Snapshot, number: int, digits: int
) -> None:
    found = scan(snapshot, WithKey(sample(number).record.key[:digits]), Cursor(), 10)
    assert [int(snapshot.before[hit.shard]) + hit.ordinal for hit in found.hits] == ([] if number == 7 else [number])
    assert [hit.note for hit in found.hits] == [] if number == 7 else [sample(number).record.key]


@pytest.mark.parametrize(("host", "found"), [("127.0.0.1", 19), ("0.0.1", 19), ("7.0.0.1", 0), ("example.org", 0)])
def test_a_host_is_compared_by_whole_names(snapshot: Snapshot, host: str, found: int) -> None:
    assert len(scan(snapshot, FromHost(host), Cursor(), 99).hits) == found


def test_only_the_shards_that_an_index_names_are_read(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[int]()
    real = WithLabel.find

    def noted(self: WithLabel, snapshot: Snapshot, shard: int, start: int, stop: int, most: int) -> object:
        read.append(shard)
        return real(self, snapshot, shard, start, stop, most)

    monkeypatch.setattr(WithLabel, "find", noted)
    found = scan(snapshot, WithLabel("default", (2,)), Cursor(), 99, among=(1,), among_until=3)
    assert read == [1, 3, 4]
    assert [(hit.shard, hit.ordinal) for hit in found.hits] == [(1, 5), (3, 2), (4, 2)]


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_shard_that_cannot_be_read_is_named_and_the_others_are_searched(tmp_path: Path, suffix: str) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    (tmp_path / "corpus" / "shards" / f"000000{suffix}").unlink()
    snapshot = CorpusWatch(corpus.store.url, None).now()
    matcher: Matcher = WithKey(sample(6).record.key) if suffix == ".npy" else WithTag("tag6")
    found = scan(snapshot, matcher, Cursor(), 10)
    assert [(hit.shard, hit.ordinal) for hit in found.hits] == [(1, 1)]
    assert found.unreadable == 1 and f"000000{suffix}" in found.errors[0] and "missing" in found.errors[0]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"x" * 5000])
def test_an_altered_table_is_an_error_of_its_shard(tmp_path: Path, content: bytes) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    (tmp_path / "corpus" / "shards" / "000000.parquet").write_bytes(content)
    found = scan(CorpusWatch(corpus.store.url, None).now(), WithTag("bear"), Cursor(), 99)
    assert len(found.hits) == 10 and found.unreadable == 1


def test_a_cursor_behind_the_corpus_is_refused(snapshot: Snapshot) -> None:
    assert scan(snapshot, AnySample(), Cursor(5), 10).after is None
    with pytest.raises(ConfigError, match="no shard number 6"):
        scan(snapshot, AnySample(), Cursor(6), 10)
    assert scan(snapshot, AnySample(), Cursor(0, 10**8), 1).hits[0].shard == 1


def test_ids_of_labels_that_are_altered_are_passed_over(snapshot: Snapshot) -> None:
    rows = np.array([[2, 10**6, -1]])
    from tagmill.browse.search.matchers import label_note

    assert label_note(snapshot.view("default"), rows[0].tolist()) == "oak"
