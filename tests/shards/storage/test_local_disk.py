"""Tests a local folder as a store: a name is given only to complete content, locks, and removal."""

import errno
import fcntl
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.local_disk import (
    full_disks,
    is_spool,
    locked,
    raise_unless_missing,
    remove_tree,
    write_synced,
)

ROOT = Path(__file__).resolve().parents[3]


def test_content_comes_from_bytes_or_a_file_and_never_over_another(tmp_path: Path) -> None:
    write_synced(tmp_path / "one", b"content")
    write_synced(tmp_path / "two", tmp_path / "one")
    assert (tmp_path / "two").read_bytes() == b"content"
    with pytest.raises(FileExistsError):
        write_synced(tmp_path / "one", b"other")


def test_a_given_file_is_moved_or_else_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_bytes(b"content")
    file = (tmp_path / "mine").stat().st_ino
    write_synced(tmp_path / "moved", tmp_path / "mine", give=True)
    assert (tmp_path / "moved").stat().st_ino == file and not (tmp_path / "mine").exists()

    def another_disk(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(self), None, str(target))

    monkeypatch.setattr(Path, "rename", another_disk)
    write_synced(tmp_path / "copied", tmp_path / "moved", give=True)
    assert (tmp_path / "copied").read_bytes() == b"content" and (tmp_path / "copied").stat().st_ino != file
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        write_synced(tmp_path / "none", tmp_path / "gone", give=True)


@pytest.mark.parametrize("name", [".x.0a1b.spool", "folder/.x.tar.ff.spool"])
def test_spools_are_known_by_their_names(name: str) -> None:
    assert is_spool(name)


@pytest.mark.parametrize("name", ["x.spool", "a/b.spool", ".x.spool/y", "spool"])
def test_other_names_are_no_spools(name: str) -> None:
    assert not is_spool(name)


def test_a_missing_folder_is_no_error_of_a_walk_and_others_are() -> None:
    raise_unless_missing(FileNotFoundError())
    with pytest.raises(PermissionError):
        raise_unless_missing(PermissionError())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_its_location_and_a_remedy(number: int) -> None:
    with pytest.raises(TagmillError, match=r"the disk is full \(/scratch\): free some space"), full_disks("/scratch"):
        raise OSError(number, "full")


def test_other_system_errors_are_not_reported_as_a_full_disk() -> None:
    with pytest.raises(OSError, match="denied"), full_disks(None):
        raise OSError(errno.EACCES, "denied")


def test_a_lock_has_one_holder_and_ends_with_its_process(tmp_path: Path) -> None:
    """A child takes the lock and is killed; until then no other process gets it, and afterwards no file is left."""
    waits = "import sys, time; from pathlib import Path; from tagmill.shards.storage.local_disk import locked\n"
    waits += "with locked(Path(sys.argv[1])): print('mine', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", waits, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None and child.stdout.readline() == b"mine\n"
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)
    child.kill()
    child.wait()
    child.stdout.close()
    with locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_without_locks_work_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: object) -> None:
        raise OSError(errno.EBADF, "no locks on this filesystem")

    monkeypatch.setattr(fcntl, "flock", refuses)
    with locked(tmp_path):
        pass


class Killed(BaseException):
    """Simulates a kill inside the code."""


def test_one_file_is_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at every system call once: the marker exists as long as anything except empty folders around it."""
    folder, calls = tmp_path / "parts", 0
    mark, unlink, rmdir = folder / "mark", Path.unlink, Path.rmdir

    def fill() -> None:
        for name in ("a/b/1", ".spool", "a/.2.spool", "z", "mark"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")

    for limit in itertools.count():
        fill()
        calls, stopped = 0, False

        def counted(call: Callable[..., None], path: Path, **how: bool) -> None:
            nonlocal calls
            if calls == limit:  # noqa: B023  # used up before the next turn
                raise Killed
            calls += 1
            call(path, **how)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", lambda path, **how: counted(unlink, path, **how))
            patch.setattr(Path, "rmdir", lambda path: counted(rmdir, path))
            try:
                remove_tree(folder, last=mark)
            except Killed:
                stopped = True
        assert mark.exists() or not [*folder.rglob("*")]
        if not stopped:
            break
    assert calls == 8 and not folder.exists()
    fill()
    remove_tree(folder)
    assert not folder.exists()
