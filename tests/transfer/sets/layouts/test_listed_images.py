"""Lists of images."""

from pathlib import Path

import pytest

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.listed_images import (
    MOST_LISTED_BYTES,
    ListedImage,
    cells_of,
    list_bytes,
    list_lines,
    listed_set,
    number_from_one,
)
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import png, write_files


def files_of(folder: Path, files: dict[str, bytes]) -> SetFiles:
    return SetFiles.below(str(write_files(folder, files)))


def test_an_image_that_is_not_there_is_read_as_none(tmp_path: Path) -> None:
    files = files_of(tmp_path, {"i/1.png": png(1), "i/2.png": png(2)})
    rows = [ListedImage("i/2.png", "b", "l, line 1", "g"), ListedImage("i/3.png", "a", "l, line 2")]
    found = listed_set("made", files, ["b", "a"], rows)
    assert [*found.examples] == [("i/2.png", (0,), "g"), ("i/3.png", (1,), "")]
    assert found.read([0, 1]) == [png(2), None]


@pytest.mark.parametrize("path", ["", "/etc/x.png", "../x.png", "i/../../x.png", "i/..", "a\0b", "http://a/x.png"])
def test_a_path_that_leaves_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"not below the folder of the set.*\(l, line 7\)"):
        listed_set("made", files_of(tmp_path, {"x": b""}), ["a", "b"], [ListedImage(path, "a", "l, line 7")])


def test_lines_are_numbered_as_editors_do(tmp_path: Path) -> None:
    files = files_of(tmp_path, {"l.txt": "\ufeffa\r\n\r\n b\u2028c \rd".encode()})
    found = [(text, where.rpartition("/")[2]) for text, where in list_lines(files, "l.txt")]
    assert found == [("a", "l.txt, line 1"), ("b\u2028c", "l.txt, line 3"), ("d", "l.txt, line 4")]


def test_lists_that_are_not_read(tmp_path: Path) -> None:
    files = files_of(tmp_path / "set", {"a.txt": b"a", "b.txt": b"\xe4"})
    (tmp_path / "secret.txt").write_bytes(b"s")
    (tmp_path / "set" / "link.txt").symlink_to(tmp_path / "secret.txt")
    for name in ("c.txt", "link.txt", "../secret.txt"):
        with pytest.raises(InputError, match="no such file"):
            list_bytes(SetFiles.below(str(tmp_path / "set")), name)
    with pytest.raises(InputError, match=r"not UTF-8 at byte 0 \(.*b\.txt\)"):
        [*list_lines(files, "b.txt")]
    with (tmp_path / "set" / "a.txt").open("r+b") as file:
        file.truncate(MOST_LISTED_BYTES + 1)
    with pytest.raises(InputError, match="at most 33,554,432 are read"):
        list_bytes(files, "a.txt")


def test_cells_and_numbers() -> None:
    assert cells_of("a  b c", 2, "w", "x and y", most=1) == ["a", "b c"]
    with pytest.raises(InputError, match=r"3 cells, 'a b c' \(w\): lines are x and y"):
        cells_of("a b c", 2, "w", "x and y")
    assert [number_from_one(cell, "w") for cell in ("1", "037", "99999")] == [1, 37, 99999]
    for cell in ("", "0", "000", "-1", "1.5", "\u00b2", "\u0663", "100000"):
        with pytest.raises(InputError, match=r"no number of a class \(w\)"):
            number_from_one(cell, "w")
