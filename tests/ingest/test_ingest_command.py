"""`tagmill ingest` as a user runs it: from flags, from a recipe, with JSON for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.smallweb import picture


def tagmill(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tagmill", *words], capture_output=True, text=True, timeout=120)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Of an ingest of three images, with the tag of their folder."""
    (tmp_path / "photos" / "tulip").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "photos" / "tulip" / f"{number}.jpg").write_bytes(picture(number))
    lines = [f'input = ["{tmp_path}/photos"]', f'output = "{tmp_path}/corpus"', "tags_from_folder = true"]
    lines += ["image_size = 48", "near_threshold = -1", "processes = 1", "timeout = 5"]
    path = tmp_path / "own.toml"
    path.write_text("\n".join(lines))
    return path


def test_a_recipe_is_an_ingest_and_flags_override_it(recipe: Path, tmp_path: Path) -> None:
    done = tagmill("ingest", "--recipe", str(recipe), "--image-size", "40", "--json", "--name", "own")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"]["train"] == 3
    assert all(json.loads(line) for line in done.stderr.splitlines())
    corpus = json.loads((tmp_path / "corpus" / "corpus.json").read_text())
    assert (corpus["name"], corpus["image_policy"]["image_size"]) == ("own", 40)
    shown = tagmill("corpus", "info", str(tmp_path / "corpus"))
    assert shown.returncode == 0 and "own" in shown.stdout
    assert "<title>own: report</title>" in (tmp_path / "corpus/report.html").read_text()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("image_sizes = 1", "no such fields: image_sizes"),
        ("image-sise = 1", "did you mean image_size?"),
        ("json = true", "no such fields: json"),
        ("quality = 101", "quality = 101"),
        ('max_pixels = "many"', "give a whole number"),
    ],
)
def test_what_a_recipe_cannot_say_is_one_line_with_status_1(line: str, says: str, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(f"{recipe.read_text()}\n{line}\n")
    done = tagmill("ingest", "--recipe", str(recipe))
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("tagmill ingest: ") and says in done.stderr and "own.toml" in done.stderr
    assert not (tmp_path / "corpus").exists()


def test_a_flag_out_of_range_is_one_line_with_the_range(recipe: Path) -> None:
    done = tagmill("ingest", "--recipe", str(recipe), "--quality", "0")
    assert done.returncode == 1
    assert done.stderr == "tagmill ingest: quality = 0 (--quality): give a whole number from 1 to 100\n"
