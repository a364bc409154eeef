"""Tests what is said of the page cache."""

import os
from pathlib import Path

import pytest

from tagmill.pipeline.bench.page_cache import cached_share


def test_bytes_that_were_just_read_are_in_memory(tmp_path: Path) -> None:
    file = tmp_path / "one.tar"
    file.write_bytes(os.urandom(100_000))
    file.read_bytes()
    assert cached_share([file]) in (1.0, None)  # None: a file system that does not say


def test_bytes_that_are_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.tar"
    file.write_bytes(b"x" * 1000)

    def refuse(handle: int, buffers: object, offset: int, flags: int) -> int:
        if offset >= 500:
            raise BlockingIOError
        return 1

    monkeypatch.setattr(os, "preadv", refuse)
    share = cached_share([file])
    assert share is not None and 0.3 < share < 0.7


def test_where_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.tar").touch()
    assert cached_share([]) is None
    assert cached_share([tmp_path / "empty.tar", tmp_path / "none.tar"]) is None

    def refuse(*_: object) -> int:
        raise OSError("not supported")

    (tmp_path / "empty.tar").write_bytes(b"x")
    monkeypatch.setattr(os, "preadv", refuse)
    assert cached_share([tmp_path / "empty.tar"]) is None
