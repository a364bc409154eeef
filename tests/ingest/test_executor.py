"""Where work is done: by config, and Spark is not even imported unless it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.executor import LocalExecutor, open_executor
from tagmill.shards.errors import ConfigError


def test_this_machine_is_the_default(tmp_path: Path) -> None:
    place = open_executor(IngestConfig(input=("x",), output="y", memory_limit="100MB"), tmp_path / "scratch")
    assert isinstance(place, LocalExecutor)
    engine = place.engine()
    assert (tmp_path / "scratch").exists()
    engine.close()
    place.close()
    assert not (tmp_path / "scratch").exists()


def test_heavy_libraries_are_not_imported_unless_asked_for() -> None:
    code = (
        "import sys, tagmill.ingest.run, tagmill.ingest.views.view_command\n"
        "print(sorted({'pyspark', 'py4j', 'sqlglot', 'pandas', 'duckdb', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"


def test_without_the_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tagmill.ingest.engines.spark_session", None)
    with pytest.raises(ConfigError, match=r"pip install 'tagmill\[spark\]', or use --engine duckdb"):
        open_executor(IngestConfig(input=("x",), output="y", engine="spark"), tmp_path / "scratch")


def test_the_engine_is_no_part_of_what_is_built() -> None:
    one = IngestConfig(input=("x",), output="y")
    other = IngestConfig(input=("x",), output="y", engine="spark", spark_master="spark://somewhere:7077")
    assert one.digest() == other.digest()
    with pytest.raises(ConfigError, match="give one of duckdb, spark"):
        IngestConfig(input=("x",), output="y", engine="flink")  # type: ignore[arg-type]
