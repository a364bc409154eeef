"""Tests the epoch space: the samples that a view assigns to an epoch, and their positions."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.order import epoch_space as space_module
from tagmill.pipeline.order.epoch_space import EXTRAS, GROUP, EpochSpace, Span
from tagmill.shards.errors import CorpusError
from tagmill.shards.formats import shared_tables
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View, extra_offset
from tests.pipeline.brute_order import CASES, ONE, Case, Sample
from tests.pipeline.corpora import Made, make_corpus


def resolve(case: Case, spans: list[Span]) -> list[Sample]:
    """Returns the samples of spans, from the definition of a run and of extras."""
    found = []
    for span in spans:
        shard = case.repeats[span.shard]
        if span.copy == EXTRAS:
            total, members = span.before, []
            for ordinal, repeat in enumerate(shard):
                if (total + repeat % ONE) // ONE > total // ONE:
                    members.append(ordinal)
                total += repeat % ONE
        else:
            members = [ordinal for ordinal, repeat in enumerate(shard) if repeat // ONE > span.copy]
        assert 0 <= span.start < span.stop <= len(members)
        found += [(span.shard, ordinal, span.copy) for ordinal in members[span.start : span.stop]]
    return found


@settings(max_examples=150, deadline=None)
@given(case=CASES, cuts=st.lists(st.integers(0, 500), max_size=4))
def test_any_range_of_an_epoch_gives_its_samples_in_order(case: Case, cuts: list[int]) -> None:
    space, samples = case.space(), case.samples()
    total = space.num_positions(case.epoch)
    assert total == len(samples)
    edges = sorted({0, total, *(cut for cut in cuts if cut < total)})
    found = [
        sample for start, stop in pairwise(edges) for sample in resolve(case, space.spans(case.epoch, start, stop))
    ]
    assert found == samples


@settings(max_examples=100, deadline=None)
@given(case=CASES, group=st.integers(1, 3), pieces=st.integers(1, 3), bins=st.integers(1, 9))
def test_the_size_of_groups_does_not_matter(case: Case, group: int, pieces: int, bins: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space_module, "GROUP", group)
        patch.setattr(space_module, "SUMMED_SHARDS", group * pieces)
        patch.setattr(space_module, "BINS", bins)
        space, samples = case.space(), case.samples()
        assert resolve(case, space.spans(case.epoch, 0, len(samples))) == samples
        assert [len(runs.groups) == len(runs.ends) for runs in space.runs] == [True] * len(space.runs)


@settings(max_examples=100, deadline=None)
@given(case=CASES, data=st.data())
def test_scattered_positions(case: Case, data: st.DataObject) -> None:
    space, samples = case.space(), case.samples()
    chosen = sorted(data.draw(st.sets(st.integers(0, len(samples) - 1), max_size=40))) if samples else []
    spans = space.spans_at(case.epoch, np.array(chosen, np.int64))
    assert resolve(case, spans) == [samples[position] for position in chosen]
    assert sum(map(len, spans)) == len(chosen)
    copies = [runs.copy for runs in space.runs] + [EXTRAS]
    expected = [span.copy for span in spans for _ in range(len(span))]
    assert [copies[space.copy_of(position)] for position in chosen] == expected


def test_adjacent_offsets_of_two_copies_are_two_spans() -> None:
    space = Case([[2 * ONE] * 5], seed=0, epoch=0, streams=1, window=1, chunk=1).space()
    assert space.spans_at(0, np.array([1, 7])) == [Span(0, 0, 1, 2, 0), Span(0, 1, 2, 3, 0)]


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_a_fraction_that_just_reaches_a_whole_copy(epoch: int) -> None:
    """The extra belongs to the sample that completes it, not to the next."""
    u = extra_offset(8, epoch)
    for missing, shard in ((0, 0), (1, 1)):
        case = Case([[ONE - u - missing], [5, 7]], seed=8, epoch=epoch, streams=1, window=1, chunk=1)
        assert case.samples()[0] == (shard, 0, EXTRAS)
        assert resolve(case, case.space().spans(epoch, 0, 1)) == [(shard, 0, EXTRAS)]


@settings(max_examples=60, deadline=None)
@given(case=CASES, data=st.data())
def test_a_split_has_the_extras_that_it_has_in_the_whole_corpus(case: Case, data: st.DataObject) -> None:
    """Fractions are summed over the whole corpus, whichever split is read."""
    first, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(case.repeats))] * 2)))
    whole = case.space()
    counts = case.counts()[:, first:stop]
    part = EpochSpace.of_counts(first, counts, whole.fractions[first : stop + 1], whole.view_seed)
    wanted = [sample for sample in case.samples() if first <= sample[0] < stop]
    assert part.num_positions(case.epoch) == len(wanted)
    assert resolve(case, part.spans(case.epoch, 0, len(wanted))) == wanted


@settings(max_examples=60, deadline=None)
@given(case=CASES)
def test_an_epoch_has_every_sample_as_often_as_its_repeat(case: Case) -> None:
    """Whole copies in every epoch, at most one extra, and a total that differs between epochs by at most one."""
    totals = set()
    for epoch in range(5):
        samples = resolve(case, case.space().spans(epoch, 0, case.space().num_positions(epoch)))
        counts = Counter((shard, ordinal) for shard, ordinal, _ in samples)
        for s, shard in enumerate(case.repeats):
            for i, repeat in enumerate(shard):
                assert counts[s, i] - repeat // ONE in ((0, 1) if repeat % ONE else (0,))
        assert len(set(samples)) == len(samples)
        totals.add(len(samples))
    assert max(totals) - min(totals) <= 1


def test_mean_counts_over_epochs_equal_the_repeats() -> None:
    """u_e takes all 2^16 values, so the mean count of a sample tends to its repeat."""
    case = Case([[ONE // 4, ONE // 2], [3 * ONE // 4]], seed=1, epoch=0, streams=1, window=1, chunk=1)
    epochs = 2000
    seen = Counter(sample[:2] for epoch in range(epochs) for sample in case.at_epoch(epoch).samples())
    space = Counter[tuple[int, ...]]()
    for epoch in range(epochs):
        spans = case.space().spans(epoch, 0, case.space().num_positions(epoch))
        space.update(sample[:2] for sample in resolve(case, spans))
    assert space == seen
    shares = [space[sample] / epochs for sample in ((0, 0), (0, 1), (1, 0))]
    assert shares == pytest.approx([0.25, 0.5, 0.75], abs=0.01)


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 4), (3, 5)])
def test_positions_outside_the_epoch_raise_an_error(start: int, stop: int) -> None:
    space = Case([[ONE] * 3], seed=0, epoch=0, streams=1, window=1, chunk=1).space()
    with pytest.raises(IndexError, match="of 3"):
        space.spans(0, start, stop)
    assert space.spans(0, 1, 1) == []


def test_a_space_of_billions() -> None:
    """Nothing grows with the samples: 400,000 shards of 10,000, and one with a fraction at the very end."""
    shards = 400_000
    fractions = np.concatenate([np.zeros(shards, np.int64), [5 * ONE]])
    space = EpochSpace.of_counts(0, np.full((1, shards), 10_000), fractions, view_seed=0)
    assert space.num_positions(3) == 4_000_000_005
    last = space.spans(3, 3_999_999_990, 4_000_000_005)
    assert [(span.shard, span.copy, span.start, span.stop) for span in last] == [
        (shards - 1, 0, 9_990, 10_000),
        (shards - 1, EXTRAS, 0, 5),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    repeats = np.random.default_rng(3).choice([0, ONE // 3, ONE, ONE + 9, 2 * ONE + ONE // 2, 4 * ONE], 30)
    return make_corpus(tmp_path_factory.mktemp("corpus"), [11, 1, 18], repeats=repeats, holdout=[4, 3])


@pytest.mark.parametrize("epoch", [0, 1, 6])
def test_the_files_of_a_view_contain_the_runs(made: Made, epoch: int) -> None:
    corpus = made.open()
    view = View.open(corpus, "default")
    space = EpochSpace.of(corpus, view, "train")
    found = []
    for span in space.spans(epoch, 0, space.num_positions(epoch)):
        if span.copy == EXTRAS:
            ordinals = view.extras(span.shard, span.before, span.start, span.stop)
        else:
            ordinals = view.run(span.shard, span.copy, span.start, span.stop)
        found += [(span.shard, int(ordinal), span.copy) for ordinal in ordinals]
    starts = made.starts.tolist()
    repeats = [made.repeats[a:b].tolist() for a, b in pairwise(starts[:4])]
    assert found == Case(repeats, view.file.seed, epoch, 1, 1, 1).samples()


def test_the_held_out_split(made: Made) -> None:
    corpus = made.open()
    for view in (View.open(corpus, "default"), None):
        space = EpochSpace.of(corpus, view, "holdout")
        assert space.num_positions(0) == 7
        assert [(span.shard, span.copy, len(span)) for span in space.spans(0, 0, 7)] == [(3, 0, 4), (4, 0, 3)]


def test_without_a_view_every_sample_occurs_once(made: Made) -> None:
    space = EpochSpace.of(made.open(), None, "train")
    assert [space.num_positions(epoch) for epoch in (0, 1)] == [30, 30]
    assert space.spans(0, 5, 30) == [Span(0, 0, 5, 11, 0), Span(1, 0, 0, 1, 0), Span(2, 0, 0, 18, 0)]


def test_a_copy_of_few_shards_takes_no_space_for_the_others() -> None:
    counts = np.zeros((3, 1000), np.int64)
    counts[0], counts[2, [7, 500, 999]] = 5, [1, 3, 2]  # no sample has exactly two copies
    space = EpochSpace.of_counts(20, counts, np.zeros(1001, np.int64), 0)
    assert [(runs.copy, len(runs.ends)) for runs in space.runs] == [(0, -(-1000 // GROUP)), (2, 3)]
    assert space.spans(0, 4998, 5006) == [
        Span(1019, 0, 3, 5, 0), Span(27, 2, 0, 1, 0), Span(520, 2, 0, 3, 0), Span(1019, 2, 0, 2, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("with_view", [True, False])
def test_a_space_in_shared_tables_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Made, with_view: bool
) -> None:
    monkeypatch.setattr(shared_tables, "SHARED_BYTES", 0)
    plain = made.open()
    view = View.open(plain, "default") if with_view else None
    for epoch in range(3):
        for split in ("train", "holdout"):
            expected = EpochSpace.of(plain, view, split)
            for _ in range(2):  # made, then found
                corpus = Corpus.open(made.url, tmp_path / "cache")
                mapped = View.open(corpus, "default") if with_view else None
                space = EpochSpace.of(corpus, mapped, split)
                total = expected.num_positions(epoch)
                assert space.num_positions(epoch) == total and space.shards == expected.shards
                assert space.spans(epoch, 0, total) == expected.spans(epoch, 0, total)
                assert corpus.entry(1) == plain.entry(1)
                assert mapped is None or view is None or mapped.shard(1) == view.shard(1)
    kinds = sorted(path.name.partition("-")[0] for path in (tmp_path / "cache").rglob("*.arrow"))
    assert kinds == ["lines", "space64", "space64", *(["view"] if with_view else [])]


def test_a_space_of_another_view_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_tables, "SHARED_BYTES", 0)
    for name, repeats in (("a", [ONE] * 5), ("b", [2 * ONE] * 5)):
        corpus = Corpus.open(make_corpus(tmp_path / name, [3, 2], repeats=repeats).url, tmp_path / "cache")
        space = EpochSpace.of(corpus, View.open(corpus, "default"), "train")
        assert space.num_positions(0) == sum(repeats) // ONE


def test_a_split_without_samples_raises_an_error(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, [2], repeats=[0, 0]).open()
    with pytest.raises(CorpusError, match="view 'default' has no samples in split 'train'"):
        EpochSpace.of(corpus, View.open(corpus, "default"), "train")
    for view in (View.open(corpus, "default"), None):
        with pytest.raises(CorpusError, match="no samples in split 'holdout'"):
            EpochSpace.of(corpus, view, "holdout")


def test_a_view_of_other_shards_raises_an_error(made: Made) -> None:
    corpus = made.open()
    view = View.open(corpus, "default")
    rows = view.table.to_pylist()
    for others in ([{**rows[0], "samples": 12}, *rows[1:]], [{**rows[0], "name": "a"}, *rows[1:]], rows[:-1]):
        other = replace(view)
        other.__dict__["table"] = pa.Table.from_pylist(others, view.table.schema)
        with pytest.raises(CorpusError, match="make the view again"):
            EpochSpace.of(corpus, other, "train")


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=3 * GROUP),
    cuts=st.lists(st.integers(0, 3 * GROUP), max_size=4),
    data=st.data(),
)
def test_the_memory_layout_of_the_counts_does_not_matter(
    counts: list[list[int]], cuts: list[int], data: st.DataObject
) -> None:
    """A table's columns come in chunks independent of groups; single runs are found as all at once are."""
    copies = max(map(len, counts))
    table = np.array([sorted(row + [0] * (copies - len(row)), reverse=True) for row in counts]).T
    whole = EpochSpace.of_counts(2, table, np.zeros(len(counts) + 1, np.int64), 0)
    (column,) = whole.counts.chunks
    edges = [0, *sorted(min(cut, len(counts)) for cut in cuts), len(counts)]
    pieces = pa.chunked_array([column.slice(start, stop - start) for start, stop in pairwise(edges)])
    cut = replace(whole, counts=pieces)
    found = [span for position in range(whole.num_whole) for span in cut.spans(0, position, position + 1)]
    runs = [
        Span(2 + shard, copy, place, place + 1, 0)
        for copy in range(copies)
        for shard, count in enumerate(table[copy].tolist())
        for place in range(count)
    ]
    assert found == runs
    if runs:
        start = data.draw(st.integers(0, len(runs) - 1))
        stop = data.draw(st.integers(start + 1, len(runs)))
        for space in (whole, cut):
            singly = [
                (span.shard, span.copy, place)
                for span in space.spans(0, start, stop)
                for place in range(span.start, span.stop)
            ]
            assert singly == [(span.shard, span.copy, span.start) for span in runs[start:stop]]


def test_a_group_may_end_in_a_chunk_without_copies() -> None:
    """Lists end where copies do: a chunk of the table whose shards have no samples in the view has no values at all."""
    pieces = [pa.array([[2, 1], [3]], pa.list_(pa.int64())), pa.array([[], []], pa.list_(pa.int64()))]
    counts = pa.chunked_array(pieces)
    rows = pa.Table.from_batches(space_module._rows(counts, np.zeros(5, np.int64)), space_module.SPACE)
    space = EpochSpace._of_rows(0, counts, rows, 0)
    assert space.num_whole == 6
    assert space.spans(0, 0, 6) == [Span(0, 0, 0, 2, 0), Span(1, 0, 0, 3, 0), Span(0, 1, 0, 1, 0)]
    assert [space.spans(0, place, place + 1)[0].shard for place in range(6)] == [0, 0, 1, 1, 1, 0]
