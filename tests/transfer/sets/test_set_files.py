"""The files of a set, and its parts."""

from pathlib import Path

import pytest

from tagmill.shards import InputError, Store
from tagmill.transfer.sets.set_files import SetFiles, folder_and_name, is_below, read_bounded, set_name, the_part
from tests.transfer.sets.made import write_files


def files(tmp_path: Path, *names: str) -> SetFiles:
    return SetFiles.below(str(write_files(tmp_path, dict.fromkeys(names, b"x"))))


def test_files_are_sorted_and_folders_are_those_at_the_top(tmp_path: Path) -> None:
    found = files(tmp_path, "b/2", "b/1/c", "a.txt", ".git/x", "__MACOSX/._2")
    assert [*found.sizes] == [".git/x", "__MACOSX/._2", "a.txt", "b/1/c", "b/2"]
    assert found.folders == ("b",) and found.top == ("a.txt",)
    assert found.within("b").sizes == {"1/c": 1, "2": 1}


def test_a_part_is_named_or_the_only_one(tmp_path: Path) -> None:
    one = files(tmp_path / "one", "test/a/1", "classnames.txt")
    assert one.part(None)[1] == "test" and [*one.part(None)[0].sizes] == ["a/1"]
    two = files(tmp_path / "two", "train/a/1", "val/b/1")
    assert [*two.part("val")[0].sizes] == ["b/1"]
    with pytest.raises(InputError, match=r"several parts: train, val .*name one as the split"):
        two.part(None)
    with pytest.raises(InputError, match=r"no part 'test' .*there are: train, val"):
        two.part("test")


def test_class_folders_beside_a_folder_named_test_are_no_parts(tmp_path: Path) -> None:
    found = files(tmp_path, "test/1", "bear/1")
    assert found.part(None) == (found, None)
    with pytest.raises(InputError, match="no part 'nothing'"):
        found.part("nothing")


def test_no_part_of_a_set_without_parts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the set has no parts"):
        files(tmp_path, "bear/1").part("val")


def test_an_empty_folder_and_a_name_that_is_not_utf8_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no files here"):
        SetFiles.below(str(tmp_path))
    with pytest.raises(InputError, match=r"a name that is not UTF-8, 'b\\\\udcff"):
        files(tmp_path, "a", "b\udcff.jpg")


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    store = Store(str(write_files(tmp_path, {"a": b"1234"})))
    assert read_bounded(store, "a", 4) == b"1234"
    with pytest.raises(InputError, match="a file of 4 bytes"):
        read_bounded(store, "a", 3)
    with pytest.raises(InputError, match="no such file"):
        read_bounded(store, "b", 3)


def test_names_of_sets() -> None:
    assert set_name("s3://bucket/sets/mnist_5k.csv.gz", None) == "mnist_5k"
    assert set_name("/sets/v1.2-images/", "val") == "v1.2-images-val"
    assert folder_and_name("s3://bucket/a/b.csv") == ("s3://bucket/a", "b.csv")
    assert folder_and_name("/b.csv") == ("/", "b.csv")
    assert folder_and_name("b.csv") == (str(Path.cwd()), "b.csv")


def test_symbolic_links_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_files(tmp_path, {"secret/1.png": b"x", "set/bear/1.png": b"x"})
    (tmp_path / "set" / "elk").symlink_to(tmp_path / "secret")
    (tmp_path / "set" / "bear" / "2.png").symlink_to(tmp_path / "secret" / "1.png")
    assert [*SetFiles.below(str(tmp_path / "set")).sizes] == ["bear/1.png"]
    assert "2 symbolic links are left out" in caplog.text


def test_a_list_of_many_parts_is_cut(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there are: 0, 1, .*19, \.\.\.$"):
        the_part("x", [*map(str, range(1000))], "here")


@pytest.mark.parametrize("path", ["", "/x", "..", "../x", "a/../x", "a/..", "a\0", "http://x", "a://b"])
def test_paths_of_lists_that_leave_the_folder(path: str) -> None:
    assert not is_below(path) and is_below("a/..b/c..d/. x")
