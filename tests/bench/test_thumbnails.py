"""Tests the web of small pictures: each unlike all others, each an image that an ingest accepts, the same every time."""

from pathlib import Path

import pytest

from tagmill.bench import measure, photographs, pixels, thumbnails
from tagmill.ingest.images.fingerprint import pdq_of
from tagmill.ingest.images.prepare import Prepared, prepare

NEAR = 31  # bits in which near duplicates differ at most
_WORD = (1 << 64) - 1


def test_pictures_are_unlike_each_other_and_the_same_every_time() -> None:
    made = [thumbnails.thumbnail(number) for number in range(60)]
    assert made == [thumbnails.thumbnail(number) for number in range(60)]
    found = [one for body in made if isinstance(one := prepare(body, pixels.stored_at_256()), Prepared)]
    hashes, qualities = zip(*(pdq_of(one.thumbnail) for one in found), strict=True)
    assert len(found) == 60 and min(qualities) >= 50
    apart = [
        sum(((a ^ b) & _WORD).bit_count() for a, b in zip(first, other, strict=True))
        for number, first in enumerate(hashes)
        for other in hashes[:number]
    ]
    assert min(apart) > 2 * NEAR


def test_the_folder_is_made_once_with_the_names_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    folder = thumbnails.prepare(3)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")} == set(map(photographs.name_of, range(3)))
    (folder / photographs.name_of(0)).unlink()
    assert thumbnails.prepare(3) == folder and not (folder / photographs.name_of(0)).exists()
