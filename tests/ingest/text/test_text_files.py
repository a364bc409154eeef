"""Lists that a user names: read from any store, bounded, with errors that name the line."""

from pathlib import Path

import pytest

from tagmill.ingest.text.text_files import read_list, text_of
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store


def test_a_list_is_read_from_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    for path in ("list.txt", str(tmp_path / "list.txt"), f"file://{tmp_path}/list.txt"):
        assert read_list(path, 1, "") == b"a"
    with pytest.raises(ConfigError, match=r"no such file \(/list.txt\)"):
        read_list("/list.txt", 1, "")  # of the root, and not of this folder
    Store("memory://lists").put("list.txt", b"far")
    assert read_list("memory://lists/list.txt", 3, "") == b"far"


def test_errors_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"one\ntwo\nthr\xffee\n")
    with pytest.raises(ConfigError, match=r"more than 0 MB.*shorter"):
        read_list(str(tmp_path / "list"), 3, "")
    with pytest.raises(ConfigError, match=r"no such file.*check the name; give a list of keys"):
        read_list(str(tmp_path / "none"), 3, "give a list of keys")
    for folder in (str(tmp_path), f"{tmp_path}/"):
        with pytest.raises(ConfigError, match=r"a folder, where a file is wanted.*give a list of keys"):
            read_list(folder, 1 << 20, "give a list of keys")
    with pytest.raises(ConfigError, match=r"not text in UTF-8.*line 3"):
        text_of((tmp_path / "list").read_bytes(), "list")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_utf16_is_an_error_with_a_remedy(encoding: str) -> None:
    with pytest.raises(ConfigError, match=rf"this is {encoding.upper()}, not UTF-8.*list.*iconv -f {encoding.upper()}"):
        text_of("cat\ndog\n".encode(encoding), "list")


def test_the_mark_of_utf8_is_no_part_of_the_first_line() -> None:
    assert text_of("\ufeffcat\n".encode(), "list") == "cat\n"
    with pytest.raises(ConfigError, match=r"not text in UTF-8.*line 2"):
        text_of(b"\xef\xbb\xbfcat\n\xff", "list")
