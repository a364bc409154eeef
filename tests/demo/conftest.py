"""Makes one small demo web for all tests of the demo."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tagmill.demo.web import make_web

ROWS, EVALUATION, SEED = 300, 33, 7


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "web"
    make_web(folder, seed=SEED, rows=ROWS, evaluation=EVALUATION, processes=1)
    return folder


@pytest.fixture(scope="session")
def truth(web: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(web / "truth.parquet").to_pylist())
