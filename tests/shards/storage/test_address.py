"""Addresses of this machine. (Those of stores: tests/shards/storage/remote/test_places.py.)"""

from pathlib import Path

import pytest

from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.address import is_local, local_path


def test_paths_and_file_urls_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for url, path in {
        "a/b": tmp_path / "a/b",
        "/x": Path("/x"),
        "file:///y": Path("/y"),
        "~/z": Path("/home/me/z"),
    }.items():
        assert is_local(url) and local_path(url) == path
    assert not is_local("s3://bucket/a") and not is_local("memory://a")


def test_a_user_without_a_home_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "expanduser", lambda self: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(ConfigError, match="there is no home folder"):
        local_path("~/a")
