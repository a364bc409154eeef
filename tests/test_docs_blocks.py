"""Every shell and Python block of the documentation that is not marked runs, on a small corpus, page by page."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ingest.smallweb import WORDS, Web, picture
from tests.markdown import ROOT, Block, Page, pages
from tests.warm.python import warm_python

RUN = [page for page in pages() if any(block.why_not_run is None and block.language != "text" for block in page.blocks)]
SECONDS = 240  # for a block; a few where the machine is free


def block_python() -> str:
    """The Python of `tagmill` and of Python blocks: one that starts fast, or the usual one with TAGMILL_WHOLE=1."""
    return sys.executable if os.environ.get("TAGMILL_WHOLE") else warm_python()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The commands `tagmill` and `python`, and a proxy that answers for every host with pictures, so that lists name
    ordinary URLs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    programs = tmp_path_factory.mktemp("programs")
    for name, words in {"tagmill": f"{block_python()} -m tagmill", "python": block_python()}.items():
        command = programs / name
        command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        command.chmod(0o755)
    yield {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "http_proxy": f"http://127.0.0.1:{server.server_port}",
        "no_proxy": "",
    }
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def made(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name: lists, photos, and two corpora."""
    folder = tmp_path_factory.mktemp("made")
    for name, numbers in {"urls": range(48), "more": range(48, 60)}.items():
        hosts = ["pictures.example" if number % 16 else "other.example" for number in numbers]
        urls = [f"http://{host}/picture/{number}" for host, number in zip(hosts, numbers, strict=True)]
        tags = pa.array([[WORDS[number % 8], WORDS[number % 3]] for number in numbers], pa.list_(pa.string()))
        pq.write_table(pa.table({"url": urls, "tags": tags}), folder / f"{name}.parquet")
    for number in range(61, 69):
        animal = folder / "photos" / ("brown_bear" if number % 2 else "n02132136")
        animal.mkdir(parents=True, exist_ok=True)
        (animal / f"{number}.{'png' if number % 5 == 0 else 'jpg'}").write_bytes(picture(number))
    (folder / "hosts.txt").write_text("other.example\n")
    (folder / "blocked.txt").write_text("sha256:" + "0" * 64 + "\n")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    commands = [
        "tagmill ingest --input urls.parquet --output corpus --holdout 8",
        "tagmill ingest --input photos --tags-from-folder --output animals",
    ]
    for line in commands:
        run(line, folder, environment)
    return folder


def run(text: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout[-4000:]}"


def run_block(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Runs a block where its page's earlier blocks ran. A command that makes a corpus finds none in its place."""
    if block.language == "python":
        program = folder / "block.py"
        program.write_text(block.text)
        run(f"{block_python()} block.py", folder, environment)
        return
    for line in block.commands:
        words = line.split()
        if words[:2] == ["tagmill", "ingest"] and "--extend" not in words:
            shutil.rmtree(folder / words[words.index("--output") + 1], ignore_errors=True)
    run(block.text if block.language == "bash" else "\n".join(block.commands), folder, environment)


def with_marks(page: Page) -> Any:
    slow = any(block.slow for block in page.blocks)
    return pytest.param(page, marks=[pytest.mark.slow] if slow else [], id=page.name)


@pytest.mark.parametrize("page", [with_marks(page) for page in RUN])
def test_blocks_of_a_page_run(page: Page, made: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    if page.name == "docs/tutorial.md":  # it has a web of its own on loopback
        environment = environment | {"no_proxy": "127.0.0.1"}
    try:
        for block in page.blocks:
            if block.why_not_run is None and block.language != "text":
                run_block(block, tmp_path, environment)
    finally:
        end_server(tmp_path / "server.pid")


def end_server(file: Path) -> None:
    """Ends the tutorial's server, if a block before the one that ends it failed."""
    if file.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGTERM)
