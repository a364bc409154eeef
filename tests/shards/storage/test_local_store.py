"""A folder as a store: what `tests/shards/contract.py` does not see. (The contract: tests/shards/storage/test_store.py.)"""

import threading
from pathlib import Path

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.local_store import LocalStore


def test_an_exchange_holds_off_others_until_it_ends(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"old", give=False)
    seen: list[bool] = []
    began = threading.Event()

    def second() -> None:
        began.set()
        with store.locked_if("a", b"old") as same:
            seen.append(same)

    with store.locked_if("a", b"old") as same:
        other = threading.Thread(target=second)
        other.start()
        assert began.wait(20) and same and not seen
        store.put("a", b"new", give=False)
    other.join(20)
    assert seen == [False]
    with pytest.raises(FileNotFoundError), store.locked_if("none", b""):
        pass


def test_what_is_left_of_a_folder_is_removed_with_the_last_file(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for name in ("x/a", "x/deep/.b.0123456789abcdef.spool", "y"):
        store.put(name, b"x", give=False)
    store.remove_folder("x", "x/a")
    store.remove_folder("none", None)
    assert [path.name for path in tmp_path.iterdir()] == ["y"]


def test_a_folder_in_the_place_of_an_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="no access"):
        LocalStore(tmp_path).read("a")
