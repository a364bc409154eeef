"""A study from its plan to its verdict: the same after every kill, and refused where it is another."""

import json
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards import ConfigError
from tagmill.studies.command import study_setup
from tagmill.studies.command.study_command import study, study_command
from tagmill.studies.command.study_setup import StudySetup
from tagmill.studies.runs.one_run import carry_out
from tagmill.studies.runs.run_task import RunTask
from tagmill.studies.runs.study_result import StudyResult
from tagmill.studies.verdict.judge import judge_study
from tests.studies.small_study import RECIPE, killed_by, options_of
from tests.studies.tagged_pictures import tagged_pictures
from tests.warm.python import called, warm_python


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, a recipe, and the study that nothing disturbed, in `whole`."""
    folder = tmp_path_factory.mktemp("study")
    tagged_pictures(folder / "corpus", 64, 96)
    (folder / "small.toml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", warm_python())
        assert isinstance(study(options_of(folder, "whole", processes=2)), StudyResult)
    return folder


def study_values(path: Path) -> dict[str, Any]:
    """Facts of a study without the seconds of its runs."""
    values: dict[str, Any] = json.loads((path / "study.json").read_bytes())
    for run in values["runs"]:
        del run["seconds"]
    return values


def test_killed_inside_and_between_runs_and_one_run_at_a_time_gives_the_same(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, (number, pattern, status) in enumerate(
        (
            (signal.SIGKILL, "runs/*/training/checkpoints/[0-9]*", -signal.SIGKILL),
            (signal.SIGTERM, "runs/*/result.json", 128 + signal.SIGTERM),
        )
    ):
        process = called(made / f"call-{place}", killed_by, number, made, "killed", pattern, warm_python())
        assert process.wait() in (status, 128 - status)
        assert any((made / "killed").glob(pattern)) and not (made / "killed/results.json").exists()
    monkeypatch.setattr(sys, "executable", warm_python())
    study(options_of(made, "killed"))
    assert (made / "killed/results.json").read_bytes() == (made / "whole/results.json").read_bytes()
    assert study_values(made / "killed") == study_values(made / "whole")


def test_finished_runs_are_kept_and_the_end_is_printed(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (made / "whole/study.json").read_bytes()
    words = [
        *("loss", "--corpus", str(made / "corpus"), "--recipe", str(made / "small.toml")),
        *("--output", str(made / "whole"), "--seeds", "1"),
    ]
    study_command(words)
    shown = capsys.readouterr()
    assert "CANNOT TELL" in shown.out and "Next:" in shown.out and "study.html" in shown.out
    assert "kept" in shown.err
    study_command([*words, "--json"])
    values = json.loads(capsys.readouterr().out)
    assert len(values["results"]) == 3 and not any(each["failed"] for each in values["results"])
    assert (made / "whole/study.json").read_bytes() == before
    study_command([*words, "--plan-only"])
    assert "study" in capsys.readouterr().out


def test_another_plan_and_other_code_are_refused(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="seeds is 1 there, and 2 now") as refused:
        study(options_of(made, "whole", seeds=2))
    assert "another --output" in str(refused.value)
    monkeypatch.setattr(study_setup, "code_version", lambda: "9 other")
    with pytest.raises(ConfigError, match=r"by other code: .* and this is 9 other"):
        study(options_of(made, "whole"))


def test_a_run_that_diverges_is_reported_and_in_no_mean(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made / "whole", made / "diverged")
    planned = study(options_of(made, "diverged", plan_only=True))
    assert isinstance(planned, StudySetup)
    first = planned.tasks[0]
    shutil.rmtree(first.folder)
    monkeypatch.setattr(RunTask, "train_config", _too_fast(RunTask.train_config))
    assert carry_out(first) is None
    monkeypatch.undo()
    found = study(options_of(made, "diverged"))
    assert isinstance(found, StudyResult)
    verdict = judge_study(found)
    assert [each.run for each in verdict.failed] == [first.run] and "diverged" in str(verdict.failed[0].failed)
    assert first.arm not in {each.arm for each in verdict.means}
    page = (made / "diverged/study.html").read_text()
    assert "diverged" in page


def _too_fast(usual: Any) -> Any:
    return lambda task: replace(usual(task), lr=1e30)
