"""Tests folders with a marker among others: marked ones are removed completely, unmarked ones are not touched."""

import subprocess
from pathlib import Path

import pytest

from tagmill.shards.storage.marked_folder import MARKER, claim, discard, is_marked
from tests.warm.python import warm_python


def test_a_folder_is_made_marked_and_discarded(tmp_path: Path) -> None:
    ours = tmp_path / "deep" / "ours"
    claim(ours, mode=0o700)
    (ours / "inside").mkdir()
    (ours / "inside" / "file").write_text("x")
    claim(ours)
    assert is_marked(ours) and (ours / "inside" / "file").exists() and ours.stat().st_mode & 0o777 == 0o700
    assert discard(ours) and not ours.exists() and ours.parent.exists()
    assert discard(ours), "it is gone"


def test_an_empty_folder_is_marked_and_another_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    claim(tmp_path / "empty")
    assert is_marked(tmp_path / "empty")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("precious")
    with pytest.raises(FileExistsError, match="theirs"):
        claim(tmp_path / "theirs")
    assert not discard(tmp_path / "theirs") and (tmp_path / "theirs" / "file").read_text() == "precious"
    (tmp_path / "file").write_text("precious")
    with pytest.raises(FileExistsError):
        claim(tmp_path / "file")
    assert not discard(tmp_path / "file")


def test_links_are_not_followed(tmp_path: Path) -> None:
    claim(tmp_path / "ours")
    (tmp_path / "ours" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    assert not is_marked(tmp_path / "link") and not discard(tmp_path / "link")
    claim(tmp_path / "around")
    (tmp_path / "around" / "link").symlink_to(tmp_path / "ours")
    discard(tmp_path / "around")
    assert (tmp_path / "ours" / "file").exists()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / MARKER).mkdir()
    assert not is_marked(tmp_path / "folder"), "a marker is a file"


def test_the_remains_of_a_killed_process_are_discarded_by_the_next(tmp_path: Path) -> None:
    """The marker goes last: killed at any file."""
    code = (
        "import os, pathlib, sys\nfrom tagmill.shards.storage.marked_folder import discard\n"
        "unlink, left = pathlib.Path.unlink, int(sys.argv[2])\n"
        "def dying(path, missing_ok=False):\n    global left\n    left -= 1\n    os._exit(9) if left < 0 else unlink(path)\n"
        "pathlib.Path.unlink = dying\ndiscard(pathlib.Path(sys.argv[1]))"
    )
    for left in range(4):
        ours = tmp_path / str(left)
        claim(ours)
        for name in "abc":
            (ours / name).write_text("x")
        ended = subprocess.run([warm_python(), "-c", code, str(ours), str(left)], timeout=60)
        assert ended.returncode == 9 and is_marked(ours) and len([*ours.iterdir()]) == 4 - left
        assert discard(ours)
