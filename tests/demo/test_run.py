"""Tests the demo end to end, on a web of 300 rows: its files, its counts, and that processes do not change a byte."""

import hashlib
import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest
import webdataset
from nvidia.dali import fn
from nvidia.dali.pipeline import Pipeline

from tagmill.demo.run import DemoConfig, check_own, free_port, ingest_config, run, write_coco
from tagmill.demo.serve import serve
from tagmill.demo.web import STAMP, write_rows
from tagmill.ingest import ingest
from tagmill.shards import ConfigError, Corpus, ShardReader
from tests.demo.conftest import ROWS, SEED
from tests.ingest.java import needs_spark

pytestmark = pytest.mark.slow
ENGINES = ["duckdb"]
if os.environ.get("TAGMILL_WHOLE"):  # tests/ingest/test_spark_tasks.py compares the engines on a smaller web
    ENGINES.append(pytest.param("spark", marks=[needs_spark, pytest.mark.timeout(900)]))


def config_of(output: Path, processes: int) -> DemoConfig:
    return DemoConfig(output=output, rows=ROWS, seed=SEED, holdout=45, min_count=4, processes=processes, epochs=1)


@pytest.fixture(scope="module")
def demo(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """It finds the web of these tests, and draws none."""
    out = tmp_path_factory.mktemp("demo")
    shutil.copytree(drawn, out / "web")
    drawn_at = (out / "web" / STAMP).stat().st_mtime_ns
    summary = run(config_of(out, processes=2))
    assert (out / "web" / STAMP).stat().st_mtime_ns == drawn_at
    return out, summary


@pytest.mark.parametrize("name", ["corpus", "model"])
def test_a_foreign_corpus_is_not_removed(tmp_path: Path, name: str) -> None:
    check_own(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("precious")
    with pytest.raises(ConfigError, match="an empty or a new one"):
        run(DemoConfig(output=tmp_path, rows=ROWS))
    assert (tmp_path / name / "mine").exists() and not (tmp_path / "web").exists()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / STAMP).write_text("{}")
    check_own(tmp_path)


def test_it_leaves_a_summary_with_every_figure(demo: tuple[Path, dict[str, Any]]) -> None:
    out, summary = demo
    assert json.loads((out / "summary.json").read_text()) == summary
    assert summary["rows"] == ROWS == summary["samples"] + sum(summary["rejects"].values())
    assert summary["splits"]["holdout"] == 45
    assert summary["duplicates"] == summary["rejects"]["duplicate"] > 0
    assert all(rate > 0 for rate in summary["loader"].values()) and set(summary["loader"]) == {"cpu", "dali"}
    assert all(0 <= summary[name] <= 1 for name in ("top1", "top5", "mean_class_accuracy", "majority", "chance"))
    assert list(summary["seconds"]) == ["web", "ingest", "lint", "loader", "train"]


def test_every_planted_row_has_the_expected_outcome(demo: tuple[Path, dict[str, Any]]) -> None:
    _, summary = demo
    assert summary["not_as_planted"] == []
    planted = {kind: sum(counts.values()) for kind, counts in summary["planted"].items()}
    assert sum(planted.values()) == ROWS
    assert planted["exact_copy"] == 24 and planted["near_copy"] == 15
    assert sum(count for kind, count in planted.items() if kind.startswith("broken")) == 9


def test_what_each_sample_shows_is_written_beside_the_corpus(demo: tuple[Path, dict[str, Any]]) -> None:
    out, summary = demo
    table = pq.read_table(out / "true_labels.parquet")
    parts = Counter(table["part"].to_pylist())
    assert parts["holdout"] == 45 and table.num_rows == summary["samples"] == sum(parts.values())
    few = pq.read_table(out / "few_labels.parquet")
    assert max(Counter(row["label"] for row in few.to_pylist() if row["part"] == "train").values()) <= 10


def test_equal_urls_were_fetched_once(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    hits = json.loads((out / "web" / "requests.json").read_text())
    truth = pq.read_table(out / "web" / "truth.parquet", columns=["path", "kind"]).to_pylist()
    twice = [row["path"] for row in truth if row["kind"] == "same_url"]
    assert twice and all(hits[path] == 1 for path in twice)


@pytest.mark.parametrize("engine", ENGINES)
def test_processes_and_engine_change_no_byte(
    demo: tuple[Path, dict[str, Any]], tmp_path: Path, engine: Literal["duckdb", "spark"]
) -> None:
    """With the same URLs, so the second run is served on the port of the first; a busy port fails the test."""
    out, _ = demo
    first = pq.read_table(out / "web" / "rows.parquet", columns=["url"])["url"][0].as_py()
    port = int(first.split(":")[2].split("/")[0])
    config = config_of(tmp_path, processes=1)
    with serve(out / "web", port=free_port(port)) as base_url:
        assert base_url.endswith(f":{port}")
        plain = ingest_config(config, write_rows(out / "web", base_url), tmp_path / "corpus")
        ingest(replace(plain, engine=engine, memory_limit="1GB"))

    def digests(corpus: Path) -> dict[str, str]:
        kept = [path for path in corpus.rglob("*") if path.is_file() and path.parent.name != "ledger"]
        rest = [path for path in kept if path.name != "report.json"]
        return {str(path.relative_to(corpus)): hashlib.sha256(path.read_bytes()).hexdigest() for path in rest}

    assert digests(tmp_path / "corpus") == digests(out / "corpus")


def test_gnu_tar_webdataset_and_dali_read_every_shard(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    corpus = Corpus.open(str(out / "corpus"))
    assert {entry.split for entry in corpus.entries} == {"train", "holdout"}
    for entry in corpus.entries:
        path = out / "corpus" / "shards" / entry.name
        samples = [ShardReader.of(corpus, entry).sample(ordinal) for ordinal in range(entry.samples)]
        command = ["tar", "tf", f"{path}.tar"]
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert names == [f"{facts['key']}.{kind}" for facts, _ in samples for kind in ("jpg", "json")]
        read = list(webdataset.WebDataset(f"{path}.tar", shardshuffle=False))
        assert [(json.loads(each["json"]), each["jpg"]) for each in read] == samples
        assert read_by_dali(path, entry.samples) == [jpeg for _, jpeg in samples]


def read_by_dali(path: Path, num_samples: int) -> list[bytes]:
    """Returns the images of a shard as DALI's own reader finds them with our index, on the CPU."""
    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None)
    with pipeline:
        paths, indexes = [f"{path}.tar"], [f"{path}.idx"]
        pictures = fn.readers.webdataset(
            paths=paths, index_paths=indexes, ext=["jpg"], missing_component_behavior="error"
        )
        pipeline.set_outputs(pictures)
    pipeline.build()
    return [bytes(pipeline.run()[0].at(0)) for _ in range(num_samples)]


def test_a_coco_set_is_written_beside_and_found_again(tmp_path: Path) -> None:
    config = DemoConfig(output=tmp_path, coco=True, coco_train=2, coco_val=1, coco_side=32, processes=1)
    assert write_coco(config).made and not write_coco(config).made
    assert {path.name for path in tmp_path.iterdir()} == {"coco"}
    assert len(list((tmp_path / "coco" / "train").iterdir())) == 2
