"""Tests that pictures are found in order, and that no file stops or hangs the rest."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.predict import pictures
from tagmill.predict.pictures import FoundPicture, named_paths, read_picture, read_pictures
from tests.pipeline.corpora import picture


def image(path: Path, kind: str = "PNG", size: tuple[int, int] = (24, 16), **options: object) -> None:
    Image.new("RGB", size, (200, 40, 40)).save(path, kind, **options)  # type: ignore[arg-type]


def test_folders_files_and_lists_are_named_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "b/notes.txt", "b/.hidden/3.jpg", "b/.4.jpg", "a/z.webp", "odd.name"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b/loop").symlink_to(tmp_path, target_is_directory=True)
    listed = io.BytesIO(f"{tmp_path}/a/z.webp\r\n\nmissing\xe9.jpg\nlast".encode("latin-1"))
    words = [f"{tmp_path}/odd.name", f"{tmp_path}/b", "-", "nowhere"]
    found = list(named_paths(words, listed))
    assert [Path(path).name for path in found[:3]] == ["odd.name", "10.png", "2.JPG"]
    assert found[3:] == [f"{tmp_path}/a/z.webp", "missing\udce9.jpg", "last", "nowhere"]


def test_a_long_line_is_not_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LONGEST_PATH", 10)
    assert max(map(len, named_paths(["-"], io.BytesIO(b"x" * 1000)))) == 10


def test_a_jpeg_passes_as_it_is_and_other_formats_become_one(tmp_path: Path) -> None:
    body = picture(5, 60, 50)
    (tmp_path / "a.jpg").write_bytes(body)
    made = read_picture(str(tmp_path / "a.jpg"))
    assert made.jpeg is not None and made.jpeg in body + made.jpeg and made.reason == ""
    for kind in ("PNG", "GIF", "WEBP", "BMP", "TIFF"):
        image(tmp_path / "b", kind)
        found = read_picture(str(tmp_path / "b")).jpeg
        assert found is not None
        pixels = Image.open(io.BytesIO(found)).convert("RGB")
        assert pixels.size == (24, 16) and abs(pixels.getpixel((8, 8))[0] - 200) < 12  # type: ignore[index]


def test_a_turned_picture_is_put_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path / "a.jpg", "JPEG", exif=exif)
    found = read_picture(str(tmp_path / "a.jpg")).jpeg
    assert found is not None and Image.open(io.BytesIO(found)).size == (16, 24)


def test_what_is_no_picture_has_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html></html>")
    (tmp_path / "cut.jpg").write_bytes(picture(5)[:-40])
    image(tmp_path / "large.png", size=(400, 300))
    (tmp_path / "big.jpg").write_bytes(bytes(2001))
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.setattr(pictures, "MOST_BYTES", 2000)
    monkeypatch.setattr(pictures, "POLICY", pictures.ImagePolicy(0, 90, 1, 100_000, None, "no", True, "auto"))
    reasons = {
        "empty.jpg": "empty",
        "page.jpg": "not an image",
        "cut.jpg": "truncated",
        "large.png": "too many pixels",
        "big.jpg": "more than 2,000 bytes",
        "pipe.jpg": "not a regular file",
        "missing.jpg": "No such file",
        "nul\0.jpg": "null",
        "": "",  # the folder itself
    }
    for name, reason in reasons.items():
        found = read_picture(f"{tmp_path}/{name}")
        assert found.jpeg is None and reason in found.reason and found.reason, (name, found)


@given(st.binary(max_size=300), st.integers(0, 900), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_any_file_gives_a_jpeg_or_a_reason(noise: bytes, at: int, cut: int) -> None:
    body = picture(6)
    made = pictures.prepare(body[:at] + noise + body[at + cut :], pictures.POLICY)
    assert isinstance(made, pictures.Rejected) or made.jpeg.startswith(b"\xff\xd8")


@pytest.mark.parametrize("number", [1, 3, 7, 8])
def test_pictures_come_in_order_whatever_the_threads(number: int, tmp_path: Path) -> None:
    for place in range(7):
        (tmp_path / f"{place}.jpg").write_bytes(picture(place) if place % 3 else b"")
    paths = [f"{tmp_path}/{place}.jpg" for place in range(7)]
    lists = list(read_pictures(paths, number, 4))
    assert [len(each) for each in lists[:-1]] == [number] * (len(lists) - 1) and lists[-1]
    assert [each.path for group in lists for each in group] == paths
    assert [bool(each.jpeg) for group in lists for each in group] == [bool(place % 3) for place in range(7)]


def test_reading_stays_a_little_ahead() -> None:
    asked = list[int]()

    def paths() -> object:
        for place in range(1000):
            asked.append(place)
            yield f"/nowhere/{place}"

    found = read_pictures(paths(), 4, 2)  # type: ignore[arg-type]
    first = next(found)
    assert len(first) == 4 and isinstance(first[0], FoundPicture) and len(asked) <= 12
    found.close()  # type: ignore[attr-defined]
