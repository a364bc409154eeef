"""The samples of a shard in blocks: every one but those taken down, with its own image, labels and repeat."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import CorpusError, IntegrityError
from tagmill.shards.exchange import samples
from tagmill.shards.exchange.samples import Block, blocks, checked_labels, repeats_of
from tagmill.shards.manifest import Corpus
from tagmill.shards.purge import begin_purge
from tagmill.shards.view import View
from tests.shards.corpora import labelling
from tests.shards.exchange.exports import corpus_in, parts, wished
from tests.shards.purger import AT, purge, take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return corpus_in(tmp_path)


def keys(found: list[Block]) -> list[str]:
    return [key for block in found for key in block.facts["key"].to_pylist()]


def read(corpus: Corpus, number: int) -> list[Block]:
    return list(blocks(corpus, View.open(corpus, "default"), parts(corpus)[number]))


@pytest.mark.parametrize(("rows", "limit"), [(1000, 1 << 20), (3, 1 << 20), (1000, 1), (2, 4000)])
def test_blocks_have_every_sample_once_in_order(
    corpus: Corpus, rows: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "BLOCK_ROWS", rows)
    monkeypatch.setattr(samples, "BLOCK_BYTES", limit)
    for number, numbers in enumerate([range(5), range(5, 12), range(12, 15)]):
        found = read(corpus, number)
        wanted = [wished(each) for each in numbers]
        assert keys(found) == [each.key for each in wanted]
        assert [image for block in found for image in block.images] == [each.image for each in wanted]
        assert [labels for block in found for labels in block.labels] == [each.labels for each in wanted]
        assert np.concatenate([block.repeats for block in found]).tolist() == [each.repeat for each in wanted]
        assert all(len(block.images) <= rows for block in found)
        assert all(len(block.images) == 1 or sum(map(len, block.images)) <= limit for block in found)


def test_samples_taken_down_are_left_out_before_and_after_the_purge(corpus: Corpus, tmp_path: Path) -> None:
    listed = take_down(corpus, [("000001", 0), ("000001", 6)])
    wanted = [wished(number).key for number in range(6, 11)]
    assert keys(read(listed, 1)) == wanted
    assert keys(read(purge(listed, tmp_path / "spool"), 1)) == wanted


def test_a_sample_that_is_purged_meanwhile_is_left_out(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table was read before the purge, the image after it."""
    tables = list(samples._tables(corpus, parts(corpus)[1].entry))
    purge(take_down(corpus, [("000001", 2)]), tmp_path / "spool")
    monkeypatch.setattr(samples, "_tables", lambda *_: iter(tables))
    (block,) = read(corpus, 1)
    wanted = [wished(number) for number in (5, 6, 8, 9, 10, 11)]
    assert keys([block]) == [each.key for each in wanted]
    assert block.images == [each.image for each in wanted]
    assert block.labels == [each.labels for each in wanted]
    assert block.repeats.tolist() == [each.repeat for each in wanted]


def test_a_purge_that_was_killed_must_be_finished_first(corpus: Corpus) -> None:
    begun = begin_purge(take_down(corpus, [("000001", 2)]), AT)
    with pytest.raises(CorpusError, match="takedown --purge"):
        read(begun, 1)
    assert len(keys(read(begun, 0))) == 5


@pytest.mark.parametrize("name", ["shards/000000.tar", "shards/000000.parquet", "shards/000000.npy"])
def test_altered_bytes_are_an_error_that_names_the_object(corpus: Corpus, name: str) -> None:
    data = bytearray(corpus.store.read(name))
    place = 512 if name.endswith(".tar") else len(data) // 2  # in the first image
    data[place] ^= 1
    corpus.store.put(name, bytes(data))
    with pytest.raises(IntegrityError, match="000000"):
        read(corpus, 0)


def test_repeats_are_those_of_the_view(corpus: Corpus) -> None:
    view = View.open(corpus, "default")
    for shard, count in enumerate((5, 7, 3)):
        assert repeats_of(view, shard).tolist() == (labelling(count)[1] / 65536).tolist()


def test_an_id_that_the_vocabulary_does_not_have_is_an_error(corpus: Corpus) -> None:
    view = View.open(corpus, "default")
    data = bytearray(view.store.read("000000.labels.npy"))
    data[-8:-4] = (3).to_bytes(4, "little")
    view.store.put("000000.labels.npy", bytes(data))
    with pytest.raises(IntegrityError, match="vocabulary"):
        checked_labels(view, 0)


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(1, 500))
def test_pieces_are_bounded_and_as_few_as_can_be_in_order(sizes: list[int], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "BLOCK_BYTES", limit)
        found = [piece.tolist() for piece in samples._bounded(np.arange(len(sizes)), np.array(sizes, np.uint32))]
    assert [each for piece in found for each in piece] == list(range(len(sizes)))
    held = [sum(sizes[each] for each in piece) for piece in found]
    assert all(total <= limit or len(piece) == 1 for piece, total in zip(found, held, strict=True))
    assert all(total + sizes[after[0]] > limit for total, after in zip(held, found[1:], strict=False))
