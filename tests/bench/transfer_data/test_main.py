"""Tests that items are made once, that what cannot be brought is skipped, and that a half-made item is none."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench.transfer_data.packages import Package
from tagmill.shards import InputError

program: Any = importlib.import_module("tagmill.bench.transfer_data.__main__")
PACKAGE = Package("pypi", "a-package", "1.0", "00", "MIT")


def write(_: object, into: Path) -> None:
    into.mkdir()
    (into / "file").write_text("data")


def failing(_: object, into: Path) -> None:
    into.mkdir()
    (into / "half").write_text("data")
    raise InputError("not the table", "a-package")


@pytest.fixture(autouse=True)
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names = list[str]()

    def fetch(package: Package, folder: Path) -> Path:
        names.append(package.name)
        if package.name == "absent":
            raise InputError("not fetched: no network", "absent 1.0")
        return folder / package.name

    monkeypatch.setattr(program, "fetch_package", fetch)
    return names


def item(name: str, make: Any, *packages: Package) -> Any:
    return program.Item(name, "an item", packages, make)


def test_makes_what_is_missing_and_skips_what_cannot_be_brought(tmp_path: Path, fetched: list[str]) -> None:
    absent = Package("npm", "absent", "1.0", "", "MIT")
    items = (
        item("good", write, PACKAGE),
        item("bad", failing, PACKAGE),
        item("gone", write, absent),
        item("own", write),
    )
    found = program.bring(items, tmp_path)
    assert found == {
        "good": "made",
        "bad": "skipped: not the table (a-package)",
        "gone": "skipped: not fetched: no network (absent 1.0)",
        "own": "made",
    }
    assert not (tmp_path / "bad").exists() and (tmp_path / "good" / "file").read_text() == "data"
    assert json.loads((tmp_path / "made.json").read_text()) == {"good": ["00"], "own": []}
    text = (tmp_path / "README.md").read_text()
    assert "a-package 1.0: MIT" in text and "skipped: not fetched: no network" in text

    fetched.clear()
    again = program.bring(items[:1] + items[3:], tmp_path)
    assert again == {"good": "there", "own": "there"} and not fetched


def test_another_pin_makes_an_item_again(tmp_path: Path) -> None:
    program.bring((item("good", write, PACKAGE),), tmp_path)
    (tmp_path / "good" / "older").write_text("of the package before")
    newer = Package("pypi", "a-package", "1.1", "01", "MIT")
    assert program.bring((item("good", write, newer),), tmp_path) == {"good": "made"}
    assert not (tmp_path / "good" / "older").exists()


def test_an_item_that_was_half_made_is_made(tmp_path: Path) -> None:
    (tmp_path / "partial-good").mkdir()
    (tmp_path / "partial-good" / "half").write_text("")
    assert program.bring((item("good", write, PACKAGE),), tmp_path) == {"good": "made"}
    assert [path.name for path in (tmp_path / "good").iterdir()] == ["file"]


@pytest.mark.parametrize(("make", "status"), [(write, 0), (failing, 1)])
def test_the_exit_status_says_whether_anything_is_there(
    make: Any, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "ITEMS", (item("good", make),))
    monkeypatch.setattr("sys.argv", ["transfer_data", "--output", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert int(ended.value.code or 0) == status  # type: ignore[call-overload]
    assert ("made" if status == 0 else "skipped: not the table") in capsys.readouterr().out
