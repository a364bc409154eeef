"""The command: its words, and that every broken promise is one line and status 1."""

import subprocess
import sys
from pathlib import Path

import pytest


def tagmill(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tagmill.cli", *words], capture_output=True, text=True, timeout=120)


def test_help_names_every_command_without_importing_a_heavy_library() -> None:
    done = tagmill("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("ingest", "corpus", "train"))
    code = "import sys, tagmill.cli; print('torch' in sys.modules or 'duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_an_unknown_word_is_told_with_the_known_ones() -> None:
    done = tagmill("ingets")
    assert done.returncode == 2
    assert "ingets" in done.stderr and "ingest" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("corpus", "info", "/nowhere/at/all"), "no corpus here"),
        (("ingest", "--input", "/nowhere/urls.parquet", "--output", "{tmp}/out"), "/nowhere/urls.parquet"),
        (("ingest", "--input", "{tmp}/empty.csv", "--output", "{tmp}/out"), "empty.csv"),
        (("ingest", "--input", "{tmp}/columns.csv", "--output", "{tmp}/out"), "tags"),
        (("ingest", "--input", "{tmp}/broken.parquet", "--output", "{tmp}/out"), "broken.parquet"),
        (("ingest", "--input", "{tmp}/good.csv", "--output", "{tmp}/file/out"), "cannot write"),
        (("train", "--corpus", "/nowhere/at/all"), "no corpus here"),
    ],
)
def test_a_broken_promise_is_one_line_with_status_1(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("url,tags\n")
    (tmp_path / "columns.csv").write_text("url,words\nhttp://a.example/1.jpg,cat\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    (tmp_path / "good.csv").write_text("url,tags\nhttp://a.example/1.jpg,cat\n")
    (tmp_path / "file").write_text("not a folder")
    done = tagmill(*(word.replace("{tmp}", str(tmp_path)) for word in words))
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert says in lines[-1] and lines[-1].startswith(f"tagmill {words[0]}: "), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "corpus.json").exists()
