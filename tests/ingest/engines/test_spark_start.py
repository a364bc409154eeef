"""Failures to start Spark are one-line errors with a remedy."""

import socket
from pathlib import Path

import pytest

from tagmill.shards.errors import ConfigError
from tests.ingest.java import needs_spark

pytestmark = [needs_spark, pytest.mark.timeout(900)]


def start(scratch: Path, master: str = "local[1]", memory_limit: str = "1GB") -> None:
    from tagmill.ingest.engines.spark_session import Cluster

    Cluster(master, threads=1, memory_limit=memory_limit, scratch=scratch).close()


@pytest.fixture(autouse=True)
def _no_java_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have begun one, and a session, which are taken whatever is asked for."""
    from tagmill.ingest.engines.spark_start import SparkContext, SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(SparkContext, "_gateway", None)


def fake_java(folder: Path, told: str) -> Path:
    (folder / "bin").mkdir()
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
    java.chmod(0o755)
    return folder


def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no Java here.*install a Java 17 runtime.*or use --engine duckdb"):
        start(tmp_path / "scratch")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"no Java here.*\(JAVA_HOME .*nothing\)"):
        start(tmp_path / "scratch")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "Java 11 is"),
        ('java version "1.8.0_392"', "Java 8 is"),
        ("ouch", "unknown"),
    ],
)
def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, found: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, told)))
    with pytest.raises(ConfigError, match=rf"{found}.*too old for Spark.*install a Java 17"):
        start(tmp_path / "scratch")


def test_too_little_memory_is_refused_before_java_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too little memory for Spark \(memory_limit 190m\).*512MiB"):
        start(tmp_path / "scratch", memory_limit="200MB")


def test_a_master_that_is_not_there_is_found_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no process listens
        master = f"spark://127.0.0.1:{taken.getsockname()[1]},nonsense"
        with pytest.raises(ConfigError, match=r"no Spark master answers \(spark://127.0.0.1:\d+,nonsense\): start"):
            start(tmp_path / "scratch", master=master)


def test_sparks_page_is_off_only_for_a_local_master_that_does_not_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagmill.ingest.engines.spark_start import session_settings

    def pages(master: str | None) -> str | None:
        return session_settings(master, "1GB", tmp_path).get("spark.ui.enabled")

    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert (pages("local[2]"), pages("spark://head:7077"), pages("yarn"), pages(None)) == ("false", None, None, None)
    defaults = tmp_path / "spark-defaults.conf"
    defaults.write_text("# spark.ui.enabled true\nspark.ui.enabledNot true\n")
    assert pages("local[2]") == "false"
    defaults.write_text("spark.ui.enabled   true\n")
    assert pages("local[2]") is None
    defaults.unlink()
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--conf spark.ui.enabled=true pyspark-shell")
    assert pages("local[2]") is None
