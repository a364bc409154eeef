"""Images: the bytes of the sample, the type that they have, and nothing else of the corpus."""

from pathlib import Path

import pytest

from tagmill.browse.server.pictures import image_type
from tests.browse.hostile import corpus_of
from tests.browse.server.visitor import visit
from tests.pipeline.corpora import make_corpus


def test_an_image_is_read_by_its_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tagmill.shards.storage.store import Store

    made, ranges = make_corpus(tmp_path / "corpus", [5, 6]), list[tuple[str, int]]()
    client, real = visit(made.url), Store.read_ranges

    def noted(self: Store, name: str, found: list[tuple[int, int]], *rest: object) -> object:
        ranges.extend((name, stop - start) for start, stop in found)
        return real(self, name, found, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "read_ranges", noted)
    answer = client.get("/picture/000001/3")
    assert answer.content == made.jpegs[8] and answer.headers["content-type"] == "image/jpeg"
    assert ranges == [("000001.npy", 36), ("000001.tar", len(made.jpegs[8]))]


@pytest.mark.parametrize(
    "data",
    [b"<html><script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"%PDF", b"\xff\xd8"],
)
def test_bytes_of_no_image_are_not_served(tmp_path: Path, data: bytes) -> None:
    answer = visit(corpus_of(tmp_path, jpeg=data)).get("/picture/000000/0")
    assert answer.status_code == 502 and data not in answer.content
    assert "not an image that a browser shows" in answer.text


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\nx", "image/png"),
        (b"RIFFxxxxWEBPVP8 ", "image/webp"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"", None),
    ],
)
def test_the_type_is_that_of_the_bytes(data: bytes, kind: str | None) -> None:
    assert image_type(data) == kind


def test_altered_bytes_are_not_served(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [5])
    tar = made.file(0, ".tar")
    tar.write_bytes(tar.read_bytes().replace(made.jpegs[2], made.jpegs[2][:-2] + b"xx"))
    client = visit(made.url)
    assert "altered picture" in client.get("/picture/000000/2").text
    assert client.get("/picture/000000/3").content == made.jpegs[3]
