"""Parts of a corpus as labelled sets."""

from pathlib import Path

import pytest

from tagmill.shards import Corpus, CorpusError, InputError
from tagmill.transfer.sets.kinds.corpus_samples import corpus_set
from tests.shards.corpora import VOCABULARY, make_corpus, sample
from tests.shards.purger import purge, take_down


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return make_corpus(str(tmp_path / "corpus"), tmp_path, sizes=(5, 7), holdout=(3,))


def test_the_samples_of_a_split_that_the_view_shows(corpus: Corpus) -> None:
    """In every shard of this corpus sample 1, 5, ... is excluded, and the label of sample n is n % 3."""
    found = corpus_set("made", corpus.store.url, "default", "train")
    numbers = [0, 2, 3, 4, 5, 7, 8, 9, 11]
    assert [each.key for each in found.examples] == [sample(number).record.key for number in numbers]
    assert [each.labels for each in found.examples] == [(x % 3,) for x in (0, 2, 3, 4, 0, 2, 3, 4, 6)]
    assert found.read([4, 0, 8, 4]) == [sample(numbers[place]).jpeg for place in (4, 0, 8, 4)]
    assert [each.name for each in found.classes] == [each.name for each in VOCABULARY.labels]
    assert [each.synset for each in found.classes] == ["n02131653", None, "n12268246"]
    held = corpus_set("made", corpus.store.url, "default", "holdout")
    assert [each.key for each in held.examples] == [sample(number).record.key for number in (12, 14)]


def test_a_split_must_be_named_and_exist(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="several parts: holdout, train"):
        corpus_set("made", corpus.store.url, "default", None)
    with pytest.raises(InputError, match="there are: holdout, train"):
        corpus_set("made", corpus.store.url, "default", "val")
    with pytest.raises(CorpusError, match="no view 'mine'"):
        corpus_set("made", corpus.store.url, "mine", "train")


def test_samples_that_are_taken_down_are_not_in_the_set(corpus: Corpus, tmp_path: Path) -> None:
    before = corpus_set("made", corpus.store.url, "default", "train")
    corpus = take_down(corpus, [("000000", 2), ("000001", 0)])
    after = corpus_set("made", corpus.store.url, "default", "train")
    gone = {sample(2).record.key, sample(5).record.key}
    assert [each for each in before.examples if each.key not in gone] == [*after.examples]
    assert before.digest != after.digest
    purge(corpus, tmp_path / "work")
    assert before.read([0, 1, 4, 5]) == [sample(0).jpeg, None, None, sample(7).jpeg]  # opened before it


def test_an_altered_image_is_none(corpus: Corpus) -> None:
    found = corpus_set("made", corpus.store.url, "default", "holdout")
    tar = Path(corpus.store.url, "shards", "holdout-000000.tar")
    data = bytearray(tar.read_bytes())
    data[int(found.records[1]["offset"])] ^= 1
    tar.write_bytes(data)
    assert found.read([0, 1]) == [sample(12).jpeg, None]
