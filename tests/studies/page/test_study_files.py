"""The files of a study: the same bytes for the same results, and the facts that the page shows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.shards import Store, TagmillError
from tagmill.studies.page.study_files import STUDY_JSON, STUDY_PAGE, write_study
from tests.studies.page.test_study_page import a_named_study


def test_the_same_results_have_the_same_bytes(tmp_path: Path) -> None:
    study = a_named_study("")
    first = write_study(Store(str(tmp_path / "a")), study)
    assert write_study(Store(str(tmp_path / "b")), replace(study, folder="/elsewhere")) == first
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["study-1.png", "study-2.png", STUDY_PAGE, STUDY_JSON]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a" / "study-1.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_has_every_run_and_what_decided(tmp_path: Path) -> None:
    study = a_named_study("")
    verdict = write_study(Store(str(tmp_path)), study)
    facts = json.loads((tmp_path / STUDY_JSON).read_text())
    assert [each["verdict"] for each in facts["claims"]] == [each.decision.verdict for each in verdict.claims]
    first = verdict.claims[0].compared[0]
    assert facts["claims"][0]["comparisons"][0]["interval"] == [
        first.interval and first.interval.low,
        first.interval and first.interval.high,
    ]
    assert facts["claims"][0]["comparisons"][0]["dropped"] == [1] and facts["claims"][1]["curvature"]["bends"]
    assert facts["claims"][0]["sizes"][0]["relation"] == "larger"
    assert [(each["arm"], each["seed"], each["failed"]) for each in facts["runs"]] == [
        (each.arm, each.seed, each.failed) for each in study.results
    ]
    assert facts["error_rate"] == 0.05 and facts["comparisons"] == 5 and facts["versions"]["scipy"]


def test_nothing_is_written_of_results_that_cannot_be_judged(tmp_path: Path) -> None:
    study = a_named_study("")
    broken = replace(study.results[0], measures={"probe_top1": float("nan")})
    with pytest.raises(TagmillError, match="not a number to judge by"):
        write_study(Store(str(tmp_path)), replace(study, results=(broken, *study.results[1:])))
    assert not list(tmp_path.iterdir())
