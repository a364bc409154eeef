"""Images come as they were written, and what must not or cannot be read has a reason."""

from pathlib import Path

import pytest

from tagmill.shards import IntegrityError
from tagmill.studies.scores.corpus_parts import CorpusParts
from tagmill.studies.scores.part_images import PartImages
from tests.pipeline.corpora import Made, make_corpus
from tests.shards.purger import purge, take_down


def images_of(made: Made, part: int, size: int) -> PartImages:
    corpus = made.open()
    found = CorpusParts(corpus, "train", size).part(part, corpus.takedown)
    return PartImages(corpus.store.within("shards"), corpus.digest, found)


def test_a_part_of_several_shards(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [3, 0, 2, 4])
    images = images_of(made, 1, 4)  # samples 4 to 7, of the last two shards
    assert images.keys() == [key.hex() for key in made.keys[4:8]] and len(images) == 4
    assert images.read([0, 1, 3]) == [(made.jpegs[number], "") for number in (4, 5, 7)]
    assert images.read(range(2, 4)) == [(made.jpegs[number], "") for number in (6, 7)]


def test_what_is_taken_down_is_not_read_before_or_after_its_bytes_are_gone(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [4])
    before = images_of(made, 0, 4)
    corpus = take_down(made.open(), [("000000", 2)])
    listed = images_of(made, 0, 4)
    purge(corpus, tmp_path / "spool")
    for images in (before, listed, images_of(made, 0, 4)):  # a reader that was opened before finds a placeholder
        found = images.read(range(4))
        assert [reason for _, reason in found] == ["", "", "taken_down", ""] and found[2][0] is None


def test_altered_bytes_have_a_reason_and_a_cut_shard_is_an_error(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [3])
    tar = made.file(0, ".tar")
    data = tar.read_bytes()
    place = data.index(made.jpegs[1]) + 40
    tar.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert [reason for _, reason in images_of(made, 0, 3).read(range(3))] == ["", "altered", ""]
    tar.write_bytes(data[:-512])
    with pytest.raises(IntegrityError):
        images_of(made, 0, 3).read(range(3))
