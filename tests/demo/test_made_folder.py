"""Output folders of the demo."""

import json
from pathlib import Path

import pytest

from tagmill.demo.made_folder import cleared, finished, put_json, replaced
from tagmill.shards.errors import ConfigError


def test_only_a_whole_folder_of_these_settings_is_found(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp.json"
    assert not finished(stamp, {"seed": 1})
    put_json(stamp, {"seed": 1, "finished": False})
    assert not finished(stamp, {"seed": 1})
    put_json(stamp, {"seed": 1, "finished": True})
    assert finished(stamp, {"seed": 1}) and not finished(stamp, {"seed": 2})
    stamp.write_text("{")
    assert not finished(stamp, {"seed": 1})


def test_own_files_are_removed_and_foreign_ones_refused(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    cleared(folder, "stamp.json", {"seed": 1}, ("images",))
    assert json.loads((folder / "stamp.json").read_text()) == {"seed": 1, "finished": False}
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").touch()
    cleared(folder, "stamp.json", {"seed": 2}, ("images",))
    assert [path.name for path in folder.iterdir()] == ["stamp.json"]
    (tmp_path / "foreign").touch()
    with pytest.raises(ConfigError, match="files that are not"):
        cleared(tmp_path, "stamp.json", {"seed": 1}, ("foreign",))
    with pytest.raises(ConfigError, match="needs a folder"):
        cleared(tmp_path / "foreign", "stamp.json", {"seed": 1}, ())


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put_json(path, {"a": 1})

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError

    with pytest.raises(OSError):
        replaced(path, fail)
    assert json.loads(path.read_text()) == {"a": 1}
