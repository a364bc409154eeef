"""What long commands show on a real terminal of 80 columns, and in a log."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.ingest.java import needs_spark
from tests.ingest.smallweb import listing, web
from tests.pipeline.corpora import make_corpus
from tests.shards.progress.use import assert_plain
from tests.training.runs import VIT, command
from tests.warm.python import warm_python

pexpect = pytest.importorskip("pexpect")
pyte = pytest.importorskip("pyte")

__all__ = ["listing", "web"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# One process runs all commands, so that the libraries are imported once.
COMMANDS = "import json, sys\nfrom tagmill import cli\nfor words in json.loads(sys.argv[1]):\n    cli.main(words)\n"
STAGE = re.compile(r"(.{20}) ([━─]{12}) (.{13}) (.{8}) (.{13}) (.{9})")
REASONS = re.compile(r"  (top|slowest): .*")
FLAGS = ["--allow-private", "--image-size", "32", "--rows-per-part", "30", "--processes", "1", "--no-honour-robots"]
INGESTED = [
    ("partition", "", ""),
    ("fetch", "59/59", "93.2 % ok"),
    "  top: bad_url 3 %, not_an_image 2 %, not_found 2 %",
    "  slowest: 127.0.0.1",
    *((f"select: {name}", "", "") for name in ("exact",)),
    ("select: hashes", "44", ""),
    *((f"select: {name}", "", "") for name in ("near", "equal hashes")),
    ("select: near", "7/7", ""),
    *((f"select: {name}", "", "") for name in ("yields", "drops")),
    ("select: groups", "59/59", "74.6 % ok"),
    "  top: duplicate 19 %, bad_url 3 %, not_an_image 2 %",
    ("pack", "59/59", "74.6 % ok"),
    "  top: duplicate 19 %, bad_url 3 %, not_an_image 2 %",
]
LABELLED = [
    ("label: join", "", ""),
    *((f"label: {name}", "1/1", "") for name in ("count", "assign", "resample", "write")),
]
LINTED = [("lint", "1/1", ""), ("lint: views", "1/1", "")]

TRAINED = [
    "model      test_vit, N weights, N labels",
    "corpus     corpus, view default, N samples an epoch",
    "length     N steps of N images, N epochs",
    "rate       N, then half a cosine to N",
    "           N at N, N at N, N at N, N at N, N at N",
    "           images",
    "processes  N on cpu, N images of a step each, N pixels",
    "memory     N GiB of the loader, a process",
    "device     N GiB a process (weights N, gradients N, optimiser N,",
    "           images N, logits N), and activations",
    *["step N/N  epoch N  loss N  N img/s  wait N%  N s left"] * 5,
]
JUDGED = [
    "judged     on N held-out images",
    "compare    a random label N%, always labelN N%",
    "model      model/model: tagmill predict model/model IMAGE",
]


def environment(**more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    return {**ours, "TERM": "xterm", "PYTHONUTF8": "1", **more}


def words_of(listing: str, output: Path, *flags: str) -> str:
    ingest = ["ingest", "--input", listing, "--output", str(output), *FLAGS, *flags]
    view = ["corpus", "view", str(output), "other", "--processes", "1"]
    return json.dumps([ingest, ["corpus", "lint", str(output)], view])


def on_terminal(words: str, folder: Path | None = None) -> list[str]:
    """Returns the lines that are left on a terminal of 80 columns, with their spaces; the commands run in `folder`."""
    screen = pyte.Screen(80, 400)
    terminal = {"dimensions": (400, 80), "env": environment(), "timeout": 600, "cwd": folder}
    child = pexpect.spawn(warm_python(), ["-c", COMMANDS, words], **terminal)
    child.expect(pexpect.EOF)
    child.close()
    pyte.ByteStream(screen).feed(child.before)
    lines = [line for line in screen.display if line.strip()]
    assert child.exitstatus == 0, "\n".join(lines)
    return lines


def progress_of(lines: list[str]) -> list[tuple[str, str, str] | str]:
    """(name, done, share) of every stage that has ended, and the lines below it; rates and times are the machine's."""
    found: list[tuple[str, str, str] | str] = []
    for line in lines:
        if REASONS.match(line):
            found.append(re.sub(r"(slowest: \S+) \d.*", r"\1", line).rstrip())
        elif stage := STAGE.fullmatch(line):
            name, bar, done, rate, time, share = (part.strip() for part in stage.groups())
            assert bar == "━" * 12 and re.fullmatch(r"in \d+:\d\d:\d\d", time)
            assert re.fullmatch(r"([\d.,]+( [kM])?/s)?", rate) and bool(rate) == bool(done)
            found.append((name, done, share))
    return found


def test_stages_are_lines_of_80_columns_on_a_terminal(listing: str, tmp_path: Path) -> None:
    lines = on_terminal(words_of(listing, tmp_path / "corpus"))
    assert progress_of(lines) == [*INGESTED, *LABELLED, *LINTED, *LABELLED]


def test_training_says_its_plan_its_steps_and_what_was_learnt_in_80_columns(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", [40, 8], holdout=[6])
    config = replace(VIT, corpus="corpus", output="model", steps=9, log_every=4, checkpoint_every=6)
    lines = on_terminal(json.dumps([["train", *command(config)[3:]]]), tmp_path)
    masked = [re.sub(r"\d[\d.,]*(?<![.,])", "N", line.rstrip()) for line in lines]
    loader = masked.index(
        next(line for line in masked if line.startswith("loader     N images in N batches, N images/s"))
    )
    judged = masked.index("accuracy   top-N N%  top-N N%")
    assert masked[:loader] == TRAINED
    assert all(line.startswith(" " * 11) for line in masked[loader + 1 : judged])
    assert masked[judged + 1 :] == JUDGED


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("spark", marks=needs_spark)])
def test_a_log_has_plain_lines_of_the_same_stages(listing: str, tmp_path: Path, engine: str) -> None:
    python = sys.executable if engine == "spark" else warm_python()
    command = [python, "-c", COMMANDS, words_of(listing, tmp_path / "corpus", "--engine", engine)]
    variables = environment(FORCE_COLOR="1", TTY_COMPATIBLE="1")
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=variables, timeout=800)
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert_plain(text)
    ends = [line for line in text.splitlines() if " ends  " in line]
    stages = [stage for stage in (*INGESTED, *LABELLED, *LINTED, *LABELLED) if isinstance(stage, tuple)]
    if engine == "spark":  # its tasks count the rows before they move them
        stages[0] = ("partition", "59", "")
    assert len(ends) == len(stages)
    for line, (name, counted, share) in zip(ends, stages, strict=True):
        assert re.match(rf"{name} ends  ({counted}  [\d.,]+( k)?/s  )?in \d+:\d\d:\d\d", line)
        assert bool(counted) == ("/s" in line) and share in line
        begins = [each for each in text.splitlines() if re.match(rf"{name} begins(  \d+ in all)?$", each)]
        assert begins


@pytest.mark.parametrize(("number", "usual"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_a_stop_is_one_line_that_says_where_and_how_to_go_on(
    number: signal.Signals, usual: bool, tmp_path: Path
) -> None:
    """By the `usual` Python, or by one that starts fast."""
    released = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            released.wait(600)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    (tmp_path / "rows.csv").write_text(f"url,tags\nhttp://127.0.0.1:{server.server_port}/1,cat\n")
    words = json.loads(words_of(str(tmp_path / "rows.csv"), tmp_path / "corpus"))[0]
    command = [sys.executable if usual else warm_python(), "-m", "tagmill.cli", *words, "--timeout", "600"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment(), text=True) as child:
        assert child.stderr is not None
        said = list(iter(child.stderr.readline, "fetch begins  1 in all\n"))
        child.send_signal(number)
        rest = child.stderr.read().splitlines()
    released.set()
    server.shutdown()
    server.server_close()
    thread.join()
    assert said[0] == "partition begins\n" and child.returncode == 128 + number
    assert rest[0].startswith("fetch stops  in ")
    kept = "finished parts and steps are kept, and the same command continues where it stopped"
    assert rest[1:] == [f"tagmill ingest: stopped in fetch; {kept}"]
