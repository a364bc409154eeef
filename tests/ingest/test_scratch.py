"""The scratch folder of a run."""

from pathlib import Path

import pytest

from tagmill.ingest.scratch import spool_folder
from tagmill.shards.errors import ConfigError


def test_it_is_made_where_it_was_asked_for_and_gone_afterwards(tmp_path: Path) -> None:
    with spool_folder(str(tmp_path / "deep" / "spool")) as folder:
        assert folder.parent == tmp_path / "deep" / "spool"
        (folder / "rest").write_text("x")
    assert not list((tmp_path / "deep" / "spool").iterdir())
    with spool_folder(None) as other, spool_folder(None) as another:
        assert other != another and other.is_dir()


def test_a_relative_place_is_made_absolute_and_a_home_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, place in (("spool", "spool"), ("~/spool", "home/spool"), (f"file://{tmp_path}/url", "url")):
        with spool_folder(given) as folder:
            assert folder.parent == tmp_path / place and folder.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {"spool", "home", "url"}


def test_an_empty_name_is_not_the_systems_folder() -> None:
    with pytest.raises(ConfigError, match="a shell variable is not set"), spool_folder(""):
        pass


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="another spool folder"), spool_folder(str(tmp_path / "file")):
        pass
