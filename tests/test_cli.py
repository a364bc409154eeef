"""The command: its words, and that every broken promise is one line and status 1."""

import io
import json
import logging
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tagmill import cli
from tests.shards.corpora import make_corpus


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


@pytest.mark.parametrize(("command", "library"), [("train", "timm"), ("ingest", "aiohttp")])
def test_an_extra_that_is_not_installed_is_named(command: str, library: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from tagmill.cli import main; main([{command!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr == f"tagmill {command}: needs {library}: pip install 'tagmill[{command}]'\n"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ingest", "the same command goes on where it was"),
        ("corpus", "run the same command again"),
        ("train", "goes on from its last checkpoint, or begins again where it has written none"),
    ],
)
def test_a_command_that_was_stopped_says_what_the_next_one_does(
    command: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, command, stopped)
    with pytest.raises(SystemExit) as ended:
        cli.main([command])
    said = capsys.readouterr().err
    assert ended.value.code == 130 and said.startswith(f"tagmill {command}: stopped; ") and says in said
    assert cli.AFTER_A_STOP.keys() == cli.COMMANDS.keys()


def other_version(corpus: Path) -> None:
    file = json.loads((corpus / "corpus.json").read_text())
    (corpus / "corpus.json").write_text(json.dumps({**file, "format": "7"}))


def altered_byte(corpus: Path) -> None:
    tar = corpus / "shards" / "000000.tar"
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(data)


def escaping_member(corpus: Path) -> None:
    """In a tar as long as the one that was, so that its size does not give it away."""
    tar = corpus / "shards" / "000000.tar"
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as made:
        made.addfile(tarfile.TarInfo("../../escaped"))
    tar.write_bytes(file.getvalue().ljust(tar.stat().st_size, b"\0")[: tar.stat().st_size])


@pytest.mark.parametrize(
    ("damage", "says"),
    [(other_version, "corpus format '7'"), (altered_byte, "000000.tar"), (escaping_member, "'../../escaped'")],
)
def test_a_damaged_corpus_is_one_line_with_status_1(damage: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    made = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", sizes=(8,))
    assert tagmill("corpus", "lint", made.store.url).returncode == 0
    damage(tmp_path / "corpus")
    before = sorted(tmp_path.rglob("*"))
    done = tagmill("corpus", "lint", made.store.url, "--json")
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done.stderr
    assert lines[0].startswith("tagmill corpus: ") and says in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_json_is_for_machines(tmp_path: Path) -> None:
    made = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", sizes=(4, 3), holdout=(2,))
    facts = json.loads(tagmill("corpus", "info", made.store.url, "--json").stdout)
    assert facts["splits"]["train"]["samples"] == 7 and facts["splits"]["holdout"]["samples"] == 2


def test_what_was_read_is_printed_but_not_between_json_lines() -> None:
    logger = logging.getLogger("tagmill.ingest")
    before = logger.level
    try:
        logger.setLevel(logging.NOTSET)
        cli.show_log(["ingest", "--json"])
        assert logger.level == logging.NOTSET
        cli.show_log(["corpus", "takedown"])
        assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)
