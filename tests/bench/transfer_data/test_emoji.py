"""Tests that emoji become tables with their subgroup as class, and that no name of an archive is used as a path."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench.transfer_data import emoji
from tagmill.bench.transfer_data.emoji import parse_emoji, write_emoji
from tagmill.shards import InputError
from tagmill.transfer.sets.open_set import open_set


def row(code: str, subgroup: str, order: int, **more: Any) -> dict[str, Any]:
    names = {
        "name": f"NAME {code}",
        "short_name": f"short_{code.lower()}",
        "has_img_google": True,
        "has_img_twitter": True,
    }
    return {
        "unified": code,
        "image": f"{code.lower()}.png",
        "subcategory": subgroup,
        "sort_order": order,
        **names,
        **more,
    }


ROWS = [
    row("1F600", "face", 3),
    row("1F3C3", "person", 2, obsoleted_by="1F3C3-200D-2642-FE0F"),
    row("1F400", "animal", 1, has_img_twitter=False),
]


def archive(path: Path, maker: str, rows: list[dict[str, Any]], images: list[str] | None = None) -> Path:
    files = {"package/emoji.json": json.dumps(rows).encode()}
    names = [entry["image"] for entry in rows] if images is None else images
    files |= {f"package/img/{maker}/64/{name}": f"{maker} {name}".encode() for name in names}
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_writes_images_and_a_table_for_each_maker_and_for_both(tmp_path: Path) -> None:
    archives = {maker: archive(tmp_path / f"{maker}.tgz", maker, ROWS) for maker in ("google", "twitter")}
    assert write_emoji(archives, tmp_path / "emoji") == {"google": 3, "twitter": 2}
    assert (tmp_path / "emoji" / "google.csv").read_text().splitlines() == [
        "path,label,group,name,short_name",
        "google/1f400.png,animal,1F400,name 1f400,short_1f400",
        "google/1f3c3.png,person,1F3C3-200D-2642-FE0F,name 1f3c3,short_1f3c3",
        "google/1f600.png,face,1F600,name 1f600,short_1f600",
    ]
    both = open_set(str(tmp_path / "emoji" / "both.csv"))
    assert [found.name for found in both.classes] == ["animal", "face", "person"] and len(both) == 5
    assert both.examples[4].group == both.examples[2].group == "1F600"
    assert both.read([4]) == [b"twitter 1f600.png"]
    assert len(open_set(str(tmp_path / "emoji" / "twitter.csv"))) == 2


@pytest.mark.parametrize("name", ["../1f600.png", "/1f600.png", "1f600.png/../x.png", "1F600.png", "a.png", ""])
def test_a_name_that_is_no_code_of_an_emoji_is_refused(name: str, tmp_path: Path) -> None:
    rows = [row("1F600", "face", 1, image=name)]
    with pytest.raises(InputError, match="not the name of an image"):
        write_emoji({"google": archive(tmp_path / "a.tgz", "google", rows)}, tmp_path / "emoji")
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"[{}]", b"[" * 100_000])
def test_another_table_is_refused(data: bytes) -> None:
    if data == b"{}":
        assert parse_emoji(data, "google") == []
        return
    with pytest.raises(InputError, match="no table of emoji"):
        parse_emoji(data, "google")


def test_an_archive_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no package/img/google/64/1f600\.png"):
        write_emoji({"google": archive(tmp_path / "a.tgz", "google", ROWS[:1], [])}, tmp_path / "emoji")


def test_an_archive_that_is_cut_or_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = archive(tmp_path / "a.tgz", "google", ROWS).read_bytes()
    for bad in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / "b.tgz").write_bytes(bad)
        with pytest.raises(InputError, match="no archive of a package"):
            write_emoji({"google": tmp_path / "b.tgz"}, tmp_path / "emoji")
    monkeypatch.setattr(emoji, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="more than 100 bytes"):
        write_emoji({"google": tmp_path / "a.tgz"}, tmp_path / "emoji")
