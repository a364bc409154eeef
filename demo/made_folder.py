"""Output folders of the demo: found again where they are whole, and emptied only where they are its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tagmill.shards.errors import ConfigError


def finished(stamp_file: Path, stamp: Mapping[str, float]) -> bool:
    """Returns whether a folder was made whole with these settings."""
    try:
        found = json.loads(stamp_file.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False
    return bool(found == {**stamp, "finished": True})


def cleared(folder: Path, stamp_name: str, stamp: Mapping[str, float], ours: Sequence[str]) -> None:
    """Empties an older or unfinished folder, whose files are `ours`, and marks it before anything is written. Raises
    ConfigError for a folder with foreign files."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError("the demo web needs a folder", folder, "name another place")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / stamp_name).is_file():
        raise ConfigError("the folder contains files that are not a demo web's", folder, "name an empty or a new one")
    for name in ours:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    put_json(folder / stamp_name, {**stamp, "finished": False})


def put_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes an object as JSON with an indent, in one step."""
    replaced(path, lambda part: part.write_text(json.dumps(content, indent=1) + "\n"))


def replaced(path: Path, write: Callable[[Path], object]) -> None:
    """Writes to a temporary name and renames, so that readers never see half a file."""
    part = path.with_name(path.name + ".part")
    write(part)
    part.replace(path)
