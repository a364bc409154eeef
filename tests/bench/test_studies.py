"""The benchmark of studies: a small study and the chain of teachers, whose facts are those of the runs."""

import json
import sys
from pathlib import Path
from statistics import mean

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.bench import studies as module
from tagmill.bench.studies import facts_of, main
from tagmill.shards import Corpus
from tagmill.studies.plan.study_plan import Claim
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.study_result import ArmFacts, StudyResult
from tests.studies.small_study import RECIPE
from tests.studies.tagged_pictures import tagged_pictures
from tests.warm.python import warm_python


def study_of(values: dict[str, list[float | None]]) -> StudyResult:
    """A study of two arms; a value of None is a run that failed."""
    results = list[RunResult]()
    for arm, own in values.items():
        for seed, value in enumerate(own):
            measures = {} if value is None else {"head_top1": value}
            results.append(RunResult(arm, seed, f"{arm}{seed}", 10, 2.0, measures, None if value else "diverged"))
    arms = tuple(ArmFacts(arm, f"text of {arm}", "default", 10) for arm in values)
    claim = Claim("More is better.", "a paper", "above", "head_top1", tuple(values))
    texts = {"head_top1": "own accuracy"}
    return StudyResult(
        "noise", "Title", "low", 3, arms, (claim,), ("small",), (), texts, {"code": "1 abc"}, tuple(results)
    )


def test_means_leave_out_runs_that_failed_and_verdicts_are_in_words() -> None:
    facts = facts_of(study_of({"low": [0.1, 0.2, 0.3], "high": [0.7, 0.9, None]}))
    low, high = facts["arms"]  # type: ignore[misc]
    assert low["means"]["head_top1"] == [pytest.approx(0.2), pytest.approx(0.1)] and low["text"] == "text of low"
    assert high["means"]["head_top1"][0] == pytest.approx(0.8) and facts["seconds"] == 12 and facts["code"] == "1 abc"
    assert facts_of(study_of({"low": [0.1], "high": [0.2]}), shared=True)["seconds"] is None
    (claim,) = facts["claims"]  # type: ignore[misc]
    assert claim["verdict"] in ("agrees", "cannot tell") and any("high" in line for line in claim["lines"])
    assert sum(each["failed"] is not None for each in facts["runs"]) == 1  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_small_study_is_made_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", warm_python())
    corpus = tagged_pictures(tmp_path / "corpus", 64, 32)
    rows = [
        (key, tags[0])
        for entry in Corpus.open(corpus).entries
        for facts in [pq.read_table(tmp_path / "corpus/shards" / f"{entry.name}.parquet", columns=["key", "tags"])]
        for key, tags in zip(facts["key"].to_pylist(), facts["tags"].to_pylist(), strict=True)
    ]
    keys, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"key": keys, "label": labels}), tmp_path / "true.parquet")
    (tmp_path / "small.toml").write_text(RECIPE)
    words = ["--corpus", corpus, "--labels", str(tmp_path / "true.parquet"), "--recipe", str(tmp_path / "small.toml")]
    words += ["--folder", str(tmp_path / "made"), "--seeds", "1", "--processes", "1", "--studies", "scaling"]
    written = []
    for name in ("one.json", "two.json"):
        main([*words, "--images", "16", "--out", str(tmp_path / name)])
        written.append(json.loads((tmp_path / name).read_text())["cases"])
    assert written[0] == written[1] and "scaling: " in capsys.readouterr().out
    case = written[0]["scaling"]
    assert len(case["runs"]) == len(case["arms"]) and {"probe_top1", "head_top1"} <= case["measures"].keys()
    for arm in case["arms"]:
        own = [each["measures"]["head_top1"] for each in case["runs"] if each["arm"] == arm["name"]]
        assert arm["means"]["head_top1"][0] == pytest.approx(mean(own))
    assert module.TRUE in Corpus.open(corpus).file.views
