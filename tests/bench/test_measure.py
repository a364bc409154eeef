"""Tests the common parts of benchmarks: images are found, cases alternate, figures are written with the machine."""

import json
import subprocess
from pathlib import Path

import pytest

from tagmill.bench import measure


def test_images_are_jpegs_of_all_folders_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.jpg", "1.JPEG", "a.png", "c.jpeg"):
        (tmp_path / name).touch()
    assert [path.name for path in measure.pictures(tmp_path)] == ["1.JPEG", "2.jpg", "c.jpeg"]
    assert len(measure.pictures(tmp_path, 2)) == 2


def test_a_folder_without_images_ends_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--images DIR"):
        measure.pictures(tmp_path)


def test_cases_alternate() -> None:
    order: list[str] = []
    cases = {name: lambda name=name: order.append(name) or float(len(order)) for name in "ab"}
    assert measure.alternate(cases, 3) == {"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]}
    assert order == ["a", "b"] * 3


def test_figures_include_the_machine_that_gave_them(tmp_path: Path) -> None:
    out = tmp_path / "results" / "some.json"
    measure.conclude("some", "images/s", {"tagmill": [4.0, 9.0, 6.0], "peer": [2.0, 3.0, 4.0]}, "tagmill", out)
    found = json.loads(out.read_text())
    assert found.keys() == {"name", "date", "commit", "machine", "cases", "ratios"}
    assert found["cases"]["tagmill"] == {"unit": "images/s", "median": 6.0, "runs": [4.0, 9.0, 6.0]}
    assert found["ratios"] == {"tagmill/peer": 2.0}
    assert found["machine"]["cores"] >= 1


def test_a_peer_gets_its_packages_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks pip's arguments, and that the environment is made once and not taken as complete after a failure of pip."""
    asked: list[list[str]] = []

    def call(command: list[str]) -> None:
        asked.append(command)
        if "venv" in command:
            measure._site_packages(Path(command[-1])).mkdir(parents=True, exist_ok=True)
        if "broken" in command:
            raise subprocess.CalledProcessError(1, command, stderr="no such thing")

    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(measure, "_call", call)
    python = measure.peer("some", "one", "two", over_ours=True)
    assert asked[-1][0] == str(python) and asked[-1][-2:] == ["one", "two"]
    (link,) = (tmp_path / "build/bench/some").rglob("ours.pth")
    assert link.read_text().strip() == measure.sysconfig.get_path("purelib")
    measure.peer("some", "one", "two", over_ours=True)
    assert len(asked) == 2
    for _ in range(2):
        with pytest.raises(subprocess.CalledProcessError):
            measure.peer("other", "broken")
    assert len(asked) == 6


def test_seconds_are_noted_by_part() -> None:
    seconds = measure.Seconds()
    assert seconds.of("a", lambda: 3) == 3 and seconds.of("a", lambda: "x") == "x"
    assert list(seconds.parts) == ["a"] and len(seconds.parts["a"]) == 2 and min(seconds.parts["a"]) >= 0
