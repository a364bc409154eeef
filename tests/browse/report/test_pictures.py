"""Small images of samples and of the rows that ingest kept some of."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from tagmill.browse.report.pictures import KeptPictures, sample_pictures
from tagmill.browse.report.sample_facts import Place
from tagmill.browse.takedown_rules import ForbiddenRows
from tagmill.shards.formats.report_pictures import PICTURES, REPORT_PICTURES, pictures_bytes
from tests.browse.worded import key_of, make_worded, take_down_sample, url_of


def row(**facts: Any) -> dict[str, Any]:
    return {**dict.fromkeys(PICTURES.names), "jpeg": b"a jpeg", **facts}


def test_samples_come_with_their_facts_and_a_small_image(tmp_path: Path) -> None:
    found = sample_pictures(make_worded(tmp_path), [Place(1, 1), Place(0, 2), Place(0, 2)])
    assert {place: sample.key for place, sample in found.items()} == {Place(0, 2): key_of(2), Place(1, 1): key_of(6)}
    sample = found[Place(0, 2)]
    assert sample.jpeg is not None and sample.url == url_of(2) and sample.tags == ("tag2", "")
    assert Image.open(io.BytesIO(sample.jpeg)).size == (40, 32)


def test_a_damaged_image_is_none_and_one_that_is_taken_down_is_not_there(tmp_path: Path) -> None:
    corpus = take_down_sample(make_worded(tmp_path), 0)
    tar = tmp_path / "shards/000000.tar"
    data = bytearray(tar.read_bytes())
    data[data.index(b"\xff\xd8", data.index(key_of(1).encode())) + 200] ^= 1
    tar.write_bytes(data)
    found = sample_pictures(corpus, [Place(0, 0), Place(0, 1), Place(0, 2)])
    assert set(found) == {Place(0, 1), Place(0, 2)}
    assert found[Place(0, 1)].jpeg is None and found[Place(0, 2)].jpeg is not None


def test_kept_images_are_found_by_row_reason_and_set_without_forbidden_ones(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    assert KeptPictures.of(corpus, ForbiddenRows()) == KeptPictures()
    rows = [
        row(reason="near_duplicate", row_id=110, yields_to=key_of(5)),
        row(reason="near_duplicate", row_id=111, yields_to=key_of(1)),
        row(reason="evaluation", row_id=5, key=key_of(5)),
        row(set="pets", name="1.jpg"),
    ]
    corpus.store.put(REPORT_PICTURES, pictures_bytes(rows))
    found = KeptPictures.of(corpus, ForbiddenRows())
    assert set(found.by_row) == {110, 111, 5}
    assert found.evaluation == {("pets", "1.jpg"): b"a jpeg"} and len(found.by_reason["near_duplicate"]) == 2
    taken = KeptPictures.of(corpus, ForbiddenRows.of(take_down_sample(corpus, 1)))
    assert set(taken.by_row) == {110, 5}
