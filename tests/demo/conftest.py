"""Makes one small demo web for all tests of the demo, in whatever process of a test run they are."""

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tagmill.demo.web import make_web

ROWS, EVALUATION, SEED = 300, 30, 7


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web as it was drawn, which no server reads and no test changes. The first of several processes draws it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "drawn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_web(folder / "drawn", seed=SEED, rows=ROWS, evaluation=EVALUATION, processes=1)
    return folder / "drawn"


@pytest.fixture(scope="session")
def web(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This process's own copy."""
    return Path(shutil.copytree(drawn, tmp_path_factory.mktemp("demo") / "web"))


@pytest.fixture(scope="session")
def truth(web: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(web / "truth.parquet").to_pylist())
