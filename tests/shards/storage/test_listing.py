"""Tests listings in pages: every object once, whatever the pages; files that disappear meanwhile are skipped."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.storage.listing import Page, files_below, objects_below
from tagmill.shards.storage.store import Store

PATHS = st.sets(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=12)


@given(PATHS, st.integers(1, 4), st.booleans())
def test_every_object_once(paths: set[str], size: int, flat: bool) -> None:
    """One store that lists everything below a folder in pages, and one that lists a folder at a time."""
    objects = {f"base/{path}.x": len(path) for path in paths}

    def ask(folder: str, after: str | None) -> Page:
        inside = sorted((path, n) for path, n in objects.items() if path.startswith(folder))
        if flat:
            rest = [each for each in inside if after is None or each[0] > after][:size]
            return Page(rest, [], rest[-1][0] if len(rest) == size else None)
        below = {path.removeprefix(folder) for path, _ in inside}
        folders = {folder + path.split("/")[0] + "/" for path in below if "/" in path}
        return Page([each for each in inside if "/" not in each[0].removeprefix(folder)], sorted(folders))

    assert sorted(objects_below("base/", ask)) == sorted(objects.items())


def contents(store: Store) -> dict[str, int]:
    found = list(store.listing())
    assert len(dict(found)) == len(found)
    return dict(found)


CONTENT = {"a": 1, "b/c": 2, "b/d/e": 3, "b2/x": 4, "z": 5}


def check(url: str) -> None:
    store = Store(url)
    for name, size in CONTENT.items():
        store.put(name, b"x" * size)
    assert contents(store) == CONTENT
    assert dict(store.listing("b")) == dict(store.listing("b/")) == {"b/c": 2, "b/d/e": 3}
    assert list(store.listing("nowhere")) == list(Store(f"{url}/nowhere").listing()) == []
    assert contents(store.within("b")) == {"c": 2, "d/e": 3}


def test_a_local_store(tmp_path: Path) -> None:
    check(str(tmp_path / "store"))


def test_an_fsspec_store() -> None:
    check("memory://listing-of-tests")
    Store("memory://listing-of-tests").delete_below("")


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_bucket(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("tagmill.shards.storage.remote.bucket_driver.PAGE", size)
    check(f"{s3_bucket}/deep")


def test_links_spools_and_disappearing_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "in" / "gone").mkdir(parents=True)
    for name in ("a", "gone/b", ".a.0123456789abcdef.spool"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "in" / "folder").symlink_to(tmp_path)
    listed = files_below(tmp_path / "in")
    found = [next(listed)]
    (tmp_path / "in" / "gone" / "b").unlink()
    (tmp_path / "in" / "gone").rmdir()
    assert found + list(listed) == [("a", 1)]
    assert list(files_below(tmp_path / "nowhere")) == []
