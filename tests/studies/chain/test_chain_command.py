"""Teacher and student from the plan to the verdict on a small corpus: stages are made once, and a stopped run ends the same."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.views.sample_locations import hex_keys
from tagmill.shards import ConfigError, Corpus, View
from tagmill.shards.reader import whole_index
from tagmill.studies.chain import chain_plan
from tagmill.studies.chain.arms import chain_arms
from tagmill.studies.chain.chain_command import chain_command, teach
from tagmill.studies.chain.chain_options import ChainOptions
from tagmill.studies.runs.study_result import StudyResult
from tests.studies.small_study import RECIPE
from tests.studies.tagged_pictures import tagged_pictures
from tests.warm.python import warm_python

pytestmark = pytest.mark.slow
STAGES = 9


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, its true labels and a recipe."""
    folder = tmp_path_factory.mktemp("chain")
    corpus = tagged_pictures(folder / "corpus", 96, 48)
    rows = []
    for entry in Corpus.open(corpus).entries:
        facts = pq.read_table(folder / "corpus/shards" / f"{entry.name}.parquet", columns=["key", "tags"])
        rows += [(key, tags[0]) for key, tags in zip(facts["key"].to_pylist(), facts["tags"].to_pylist(), strict=True)]
    keys, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"key": keys, "label": labels}), folder / "true.parquet")
    (folder / "small.toml").write_text(RECIPE)
    return folder


def words_of(folder: Path) -> list[str]:
    return [
        *("--corpus", str(folder / "corpus"), "--labels", str(folder / "true.parquet"), "--shots", "3"),
        *("--recipe", str(folder / "small.toml"), "--output", str(folder / "out"), "--seeds", "1"),
        *("--rates", "0.05", "--k", "8", "--images", "24"),
    ]


def options_of(folder: Path) -> ChainOptions:
    places = {"corpus": str(folder / "corpus"), "labels": str(folder / "true.parquet"), "output": str(folder / "out")}
    return ChainOptions(**places, recipe=str(folder / "small.toml"), shots=3, seeds=1, rates=(0.05,), k=8, images=24)


def members(folder: Path, name: str) -> set[str]:
    """Keys of the training samples of a view."""
    corpus = Corpus.open(str(folder / "corpus"))
    view, found = View.open(corpus, name), set[str]()
    for number, (entry, line) in enumerate(zip(corpus.entries, view.shards, strict=True)):
        if line.split == "train" and line.counts:
            index = whole_index(corpus.store, entry)
            found.update(hex_keys(index["key"][view.run(number, 0, 0, line.counts[0])]).to_pylist())
    return found


def test_the_chain_is_planned_carried_out_and_found_again(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", warm_python())
    chain_command([*words_of(made), "--plan-only"])
    assert "arms" in capsys.readouterr().out and not (made / "out/runs").exists()
    plan = json.loads((made / "out/plan.json").read_bytes())
    assert len(plan["runs"]) == STAGES and plan["runs"][0]["after"] == [] and len(plan["arms"]) == len(chain_arms())

    chain_command(words_of(made))
    shown = capsys.readouterr().out
    assert "CANNOT TELL" in shown and "semi-weakly" in shown and (made / "out/study.html").exists()
    results = json.loads((made / "out/results.json").read_bytes())
    assert [each["arm"] for each in results] == [arm.name for arm in chain_arms()]
    assert {each["images"] for each in results if each["arm"] in ("labels", "semi-student")} == {24}
    assert {each["images"] for each in results if each["arm"] in ("semi", "tags")} == {48}
    assert all({"head_top1", "validation_top1"} <= each["measures"].keys() and not each["failed"] for each in results)

    validation = set((made / "out/validation.txt").read_text().split())
    views = Corpus.open(str(made / "corpus")).file.views
    learnt = {name for name in views if name.startswith(("study-teach-tags", "teach-few", "teach-chosen"))}
    assert validation and len(learnt) == 5
    for name in learnt:
        assert members(made, name) and not validation & members(made, name)
    assert members(made, next(name for name in views if name.startswith("teach-validation"))) == validation

    before = (made / "out/results.json").read_bytes()
    last = next(each["run"] for each in results if each["arm"] == "semi-weakly")
    (made / "out/runs" / last / "result.json").unlink()  # as after a kill in the last stage
    (made / "out/results.json").unlink()
    found = teach(options_of(made))
    assert isinstance(found, StudyResult) and (made / "out/results.json").read_bytes() == before
    assert Corpus.open(str(made / "corpus")).file.views == views
    assert len(list((made / "out/runs").iterdir())) == STAGES

    monkeypatch.setattr(chain_plan, "code_version", lambda: "9 other")
    with pytest.raises(ConfigError, match="by other code"):
        teach(options_of(made))
