"""The stages of a chain on a small corpus: each is made once, and the same call finds all of them again."""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.shards import Corpus, Store
from tagmill.shards.progress.protocol import Silent
from tagmill.studies.chain.arms import chain_arms, stages_of
from tagmill.studies.chain.chain_run import Chain, carried_out
from tagmill.studies.chain.label_views import label_views
from tagmill.studies.plan.study_views import facts_of
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import RunTask
from tagmill.train import load_recipe
from tests.studies.small_study import RECIPE
from tests.studies.tagged_pictures import tagged_pictures
from tests.warm.python import warm_python


def chain_of(folder: Path) -> Chain:
    corpus = tagged_pictures(folder / "corpus", 96, 48)
    rows = []
    for entry in Corpus.open(corpus).entries:
        facts = pq.read_table(folder / "corpus/shards" / f"{entry.name}.parquet", columns=["key", "tags"])
        rows += [(key, tags[0]) for key, tags in zip(facts["key"].to_pylist(), facts["tags"].to_pylist(), strict=True)]
    pq.write_table(
        pa.table({"key": [row[0] for row in rows], "label": [row[1] for row in rows]}), folder / "true.parquet"
    )
    (folder / "small.toml").write_text(RECIPE)
    labels = label_views(corpus, "default", str(folder / "true.parquet"), 3, Silent())
    base = facts_of(Corpus.open(corpus), "default")
    recipe = load_recipe(str(folder / "small.toml"))
    return Chain(corpus, Store(str(folder / "out")), base, labels, recipe, 24, (0.05,), 8, 1)


def test_all_stages_are_made_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", warm_python())
    chain, told = chain_of(tmp_path), list[tuple[str, bool]]()

    def tell(task: RunTask, result: RunResult, kept: bool) -> None:
        told.append((task.arm, kept))

    stages = stages_of(chain_arms())
    found = carried_out(chain, stages, 1, tell, Silent())
    assert len(told) == len(found) == 9 and not any(kept for _, kept in told)
    assert all({"head_top1", "validation_top1"} <= result.measures.keys() for result in found.values())
    views = set(Corpus.open(chain.corpus).file.views)
    told.clear()
    again = carried_out(chain, stages, 1, tell, Silent())
    assert {key: value.measures for key, value in again.items()} == {
        key: value.measures for key, value in found.items()
    }
    assert all(kept for _, kept in told) and set(Corpus.open(chain.corpus).file.views) == views
