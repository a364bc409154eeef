"""Tests that the same images are in every format, complete or absent."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagmill.bench import corpora
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader
from tagmill.shards.view import View


def picture(path: Path, colour: int, size: tuple[int, int] = (300, 400)) -> Path:
    Image.new("RGB", size, (colour, 10, 20)).save(path, "JPEG")
    return path


def test_a_corpus_has_the_files_under_distinct_keys(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / f"{colour}.jpg", colour) for colour in (50, 200)]
    corpora.make_images(pictures, 20, tmp_path / "images")
    corpora.make_corpus(tmp_path / "images", tmp_path / "corpus")
    files = {path.read_bytes() for path in (tmp_path / "images").rglob("*.jpg")}
    assert len(files) == 2 and len(list((tmp_path / "images").rglob("*.jpg"))) == 20
    corpus = Corpus.open(str(tmp_path / "corpus"))
    keys, read = set(), []
    for entry in corpus.entries:
        reader = ShardReader.of(corpus, entry)
        index = reader.index(0, entry.samples)
        keys |= {key.tobytes() for key in index["key"]}
        read += reader.pictures(index)
    assert len(keys) == len(read) == 20 and set(read) == files
    view = View.open(corpus, corpora.VIEW)
    labels = [view.labels(number, 0, entry.samples)[:, 0] for number, entry in enumerate(corpus.entries)]
    assert all((row == np.arange(len(row)) % corpora.CLASSES).all() for row in labels)
    assert all(view.shard(number).facts for number in range(len(corpus.entries)))
    for suffix in (".tar", ".idx"):
        assert all(Path(path).exists() for path in corpora.shards(str(tmp_path / "corpus"), suffix))


def test_images_are_stored_with_their_short_side(tmp_path: Path) -> None:
    stored = corpora.resized(picture(tmp_path / "a.jpg", 9, (300, 600)))
    assert Image.open(io.BytesIO(stored)).size == (256, 512)


@pytest.mark.parametrize(("width", "interval"), [(256, 2), (336, 3), (1200, 5), (400, 5)])
def test_images_with_markers_have_the_same_pixels_and_an_interval_that_divides_a_row(
    tmp_path: Path, width: int, interval: int
) -> None:
    noise = np.random.default_rng(width).integers(0, 256, (256, width, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", "JPEG")
    plain, marked = (corpora.resized(tmp_path / "a.jpg", markers=markers) for markers in (False, True))
    assert b"\xff\xdd" not in plain
    at = marked.index(b"\xff\xdd")
    assert int.from_bytes(marked[at + 4 : at + 6]) == interval and -(-width // 16) % interval == 0
    pixels = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in (plain, marked)]
    assert (pixels[0] == pixels[1]).all()


def test_another_image_is_another_folder(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "1.jpg", 1), picture(tmp_path / "2.jpg", 99)
    names = {
        corpora.digest([one], 5),
        corpora.digest([two], 5),
        corpora.digest([one], 6),
        corpora.digest([one, two], 5),
        corpora.digest([one], 5, markers=True),
    }
    assert len(names) == 5 and corpora.digest([one], 5) in names


def test_an_unfinished_folder_is_made_again(tmp_path: Path) -> None:
    def broken(place: Path) -> None:
        place.mkdir()
        (place / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        corpora.once(tmp_path / "made", broken)
    assert not (tmp_path / "made").exists()
    corpora.once(tmp_path / "made", Path.mkdir)
    corpora.once(tmp_path / "made", broken)  # exists already
    assert not list((tmp_path / "made").iterdir())
