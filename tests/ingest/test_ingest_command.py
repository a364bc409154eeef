"""`tagmill ingest` as a user runs it: from flags, from a recipe, with JSON for programs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.smallweb import picture
from tests.warm.python import warm_python


def tagmill(*words: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [python or warm_python(), "-m", "tagmill", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


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
    done = tagmill(
        "ingest", "--recipe", str(recipe), "--image-size", "40", "--json", "--name", "own", python=sys.executable
    )
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


def test_an_estimate_is_text_or_one_json_object_and_leaves_nothing(recipe: Path, tmp_path: Path) -> None:
    done = tagmill("ingest", "--recipe", str(recipe), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("An estimate of this ingest: nothing was written") and "tulip 3" in done.stdout
    done = tagmill("ingest", "--recipe", str(recipe), "--dry-run", "--sample", "2", "--json", "--rate", "7")
    found = json.loads(done.stdout)
    assert (found["sample"]["images"], found["costs"]["rate"]) == (2, 7.0)
    assert {json.loads(line)["stage"] for line in done.stderr.splitlines()} == {"read", "sample"}
    assert not (tmp_path / "corpus").exists()
    done = tagmill("ingest", "--recipe", str(recipe), "--sample", "2")
    assert (done.returncode, done.stderr) == (
        1,
        "tagmill ingest: sample = 2 (--sample): is for an estimate: add --dry-run\n",
    )
