"""The command: its words, and that every broken promise is one line and status 1."""

import importlib
import io
import json
import logging
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from tagmill import cli
from tagmill.shards.progress.stops import Terminated
from tests.browse.worded import key_of, make_worded
from tests.shards.corpora import make_corpus
from tests.warm.python import warm_python


def tagmill(*words: str, python: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the command in a process that starts fast, or by another `python`."""
    command = [python or warm_python(), "-m", "tagmill.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_help_names_every_command_without_importing_a_heavy_library() -> None:
    done = tagmill("--help", python=sys.executable)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("ingest", "corpus", "train"))
    code = "import sys, tagmill.cli; print('torch' in sys.modules or 'duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize(
    ("words", "known"), [(("ingets",), "ingest"), (("corpus", "nope"), "takedown"), (("help", "x"), "train")]
)
def test_an_unknown_command_is_an_error_that_lists_the_known_ones(words: tuple[str, ...], known: str) -> None:
    done = tagmill(*words)
    assert done.returncode == 2 and not done.stdout
    assert f"no command {words[-1]!r}" in done.stderr and known in done.stderr


@pytest.mark.parametrize("words", [("corpus",), ("corpus", "--help"), ("corpus", "-h"), ("help", "corpus")])
def test_the_help_of_corpus_has_a_line_for_each_of_its_commands(words: tuple[str, ...]) -> None:
    done = tagmill(*words)
    assert done.returncode == 0 and not done.stderr
    for word in ("info", "vocabulary", "under", "lint", "takedown", "plan", "view", "export", "card"):
        assert re.search(rf"^  {word} +[A-Z].*\.$", done.stdout, re.MULTILINE), word


def test_help_is_a_command_and_python_runs_the_package() -> None:
    done = tagmill("help")
    assert done.returncode == 0 and done.stdout == tagmill("--help").stdout == tagmill().stdout
    assert "--tyro-write-completion" in done.stdout
    package = subprocess.run([sys.executable, "-m", "tagmill", "help"], capture_output=True, text=True, timeout=120)
    assert package.stdout == done.stdout


def test_a_command_of_train_is_one_only_where_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "export", "--help"], ["help", "train", "export"]):
        with pytest.raises(SystemExit):
            cli.main(words)
        assert "usage: tagmill train export" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        cli.main(["train", "export", "/nowhere", "--output", "x"])
    assert ended.value.code == 1 and "tagmill train export: no such file" in capsys.readouterr().err
    command, rest, _ = cli.find(["train", "--output", "export"])
    assert command is cli.COMMANDS["train"] and rest == ["--output", "export"]


def test_help_of_a_command_is_that_of_its_flag() -> None:
    done = tagmill("help", "corpus", "lint")
    assert done.returncode == 0 and done.stdout == tagmill("corpus", "lint", "--help").stdout
    assert "usage: tagmill corpus lint" in done.stdout


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (("help", "ingest"), {"torch", "duckdb", "aiohttp"}),
        (("help", "corpus", "view"), {"torch"}),
        (("corpus", "info", "{corpus}"), {"torch", "duckdb", "tagmill.ingest", "tagmill.pipeline"}),
        (("--help",), {"torch", "pyarrow", "tyro"}),
    ],
)
def test_a_command_loads_only_what_it_needs(words: tuple[str, ...], unwanted: set[str], tmp_path: Path) -> None:
    made = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool", sizes=(4,))
    given = [word.replace("{corpus}", made.store.url) for word in words]
    code = f"import atexit, sys; atexit.register(lambda: print('loaded', *{unwanted} & set(sys.modules)))\n"
    code += f"from tagmill.cli import main; main({given})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "loaded", done.stdout[-200:] + done.stderr


def complete(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word, when the script is loaded."""
    line = f"source {script}; COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; "
    line += 'eval "$(complete -p tagmill | sed -E "s/.*-F ([^ ]+).*/\\1/")"; printf "%s\\n" "${COMPREPLY[@]}"'
    return set(subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout.split())


def test_bash_completes_commands_and_flags(tmp_path: Path) -> None:
    script = tmp_path / "tagmill"
    done = tagmill("--tyro-write-completion", "bash", str(script))
    assert done.returncode == 0, done.stderr
    assert {"ingest", "corpus", "train", "predict"} <= complete(script, "tagmill", "")
    assert complete(script, "tagmill", "train", "ex") == {"export"}
    assert {"zero-shot", "audit"} <= complete(script, "tagmill", "transfer", "")
    assert complete(script, "tagmill", "train", "--label-w") == {"--label-weights"}
    assert complete(script, "tagmill", "train", "export", "--we") == {"--weights"}
    assert complete(script, "tagmill", "predict", "--to") == {"--top"}
    assert complete(script, "tagmill", "corpus", "ta") == {"takedown"}
    assert complete(script, "tagmill", "corpus", "view", "--max-r") == {"--max-repeat"}
    assert complete(script, "tagmill", "ingest", "--image") == {"--image-size", "--image-column"}
    assert complete(script, "tagmill", "ingest", "--reencode", "al") == {"always"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_command_prints_its_own_completion_too(shell: str) -> None:
    done = tagmill("corpus", "lint", "--tyro-print-completion", shell)
    assert done.returncode == 0 and "--json" in done.stdout


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


@pytest.mark.parametrize(
    ("words", "library", "extra"),
    [
        (["train"], "timm", "train"),
        (["ingest", "--input", "a.csv", "--output", "b"], "aiohttp", "ingest"),
        (["corpus", "takedown", "a"], "idna", "ingest"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(words: list[str], library: str, extra: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; from tagmill.cli import main; main({words})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"tagmill {words[0]}: needs {library}: pip install 'tagmill[{extra}]'\n"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("ingest", "the same command continues where it stopped"),
        ("corpus info", "nothing was changed; run the same command again"),
        ("corpus lint", "nothing was changed; run the same command again"),
        ("corpus takedown", "what is listed stays listed; the same command completes it"),
        ("corpus view", "the views that are there are kept; run the same command again"),
        ("train", "continues from its last checkpoint, or starts again if there is none"),
    ],
)
def test_a_command_that_was_stopped_says_what_the_next_one_does(
    command: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = KeyboardInterrupt()
    noted.add_note("fetch, 12 of 30")
    kinds = [(KeyboardInterrupt(), 130, ""), (noted, 130, " in fetch, 12 of 30"), (Terminated(), 143, "")]
    for error, status, where in kinds:
        monkeypatch.setattr(importlib, "import_module", Mock(side_effect=error))
        with pytest.raises(SystemExit) as ended:
            cli.main([*command.split(), "info"])
        said = capsys.readouterr().err
        assert ended.value.code == status and said.count("\n") == 1 and says in said
        assert said.startswith(f"tagmill {command.split()[0]}: stopped{where}; ")


def test_every_command_says_how_to_go_on_after_a_stop() -> None:
    words = cli.COMMANDS.keys() | {f"corpus {word}" for word in cli.CORPUS} | {"corpus"}
    teach = {f"teach {word}" for word in cli.TEACH}
    assert cli.COMMANDS.keys() | teach | {"corpus"} <= cli.AFTER_A_STOP.keys() <= words | teach


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


def test_no_text_of_an_error_or_of_a_log_moves_the_cursor(tmp_path: Path) -> None:
    hostile = str(tmp_path / "\x1b[2J\u202e")
    code = f"""if True:
        import logging
        from tagmill import cli
        cli.show_log([])
        logging.getLogger("tagmill.ingest").warning("column %s", "b\\u00e4r\\r\\x9b2J")
        cli.main(["corpus", "info", {hostile!r}])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    log, error = done.stderr.splitlines()
    assert log.startswith("column b") and log.endswith(r"\r\x9b2J")
    assert r"\x1b[2J\u202e" in error and done.stderr.replace("\n", "").isprintable()


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


def test_the_page_is_made_after_an_ingest_and_again_after_a_takedown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_worded(tmp_path / "corpus")
    monkeypatch.setattr("tagmill.ingest.ingest_command.ingest_command", lambda rest: corpus.store.url)
    cli.main(["ingest"])
    page = tmp_path / "corpus/report.html"
    assert key_of(5) in page.read_text()
    (tmp_path / "keys.txt").write_text(key_of(5))
    cli.main(["corpus", "takedown", corpus.store.url, "--keys", str(tmp_path / "keys.txt"), "--dry-run"])
    assert key_of(5) in page.read_text()
    cli.main(["corpus", "takedown", corpus.store.url, "--keys", str(tmp_path / "keys.txt")])
    assert key_of(5) not in page.read_text() and "report" not in capsys.readouterr().err


def test_a_view_is_indexed_and_has_the_page_made_again_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_worded(tmp_path / "corpus")
    monkeypatch.setattr("tagmill.ingest.views.view_command.view_command", lambda rest: corpus.store.url)
    cli.main(["corpus", "view"])
    page = tmp_path / "corpus/report.html"
    assert len(list(tmp_path.rglob("search.parquet"))) == 1 and not page.exists()
    page.write_text("of the view before")
    cli.main(["corpus", "view"])
    assert "label0" in page.read_text() and not capsys.readouterr().err


def test_an_index_that_cannot_be_made_is_one_line_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_worded(tmp_path / "corpus")
    next((tmp_path / "corpus/views").rglob("000001.labels.npy")).unlink()
    monkeypatch.setattr("tagmill.ingest.views.view_command.view_command", lambda rest: corpus.store.url)
    cli.main(["corpus", "view"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tagmill corpus: no search index: ") and "000001.labels.npy" in line


@pytest.mark.parametrize(
    "failure", [ModuleNotFoundError("no jinja2", name="jinja2"), MemoryError(), OSError("\x1b[2J")]
)
def test_a_page_that_cannot_be_made_is_one_line_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: BaseException
) -> None:
    def failing(corpus: object) -> None:
        raise failure

    corpus = make_worded(tmp_path / "corpus")
    monkeypatch.setattr("tagmill.ingest.ingest_command.ingest_command", lambda rest: corpus.store.url)
    monkeypatch.setattr("tagmill.browse.report.page.write_report_page", failing)
    cli.main(["ingest"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tagmill ingest: no report.html: ") and "\x1b" not in line
    assert line.endswith("tagmill corpus report" if "jinja2" in line else "tagmill corpus report makes it")
