"""Tests of what a report on VTAB says, worked out by hand."""

from typing import Any

import pytest

from tagmill.transfer.report.report_facts import Judged
from tagmill.transfer.vtab.vtab_facts import differences, settings_of_papers
from tagmill.transfer.vtab.vtab_means import vtab_means
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_tasks import VTAB_TASKS
from tests.transfer.vtab.test_vtab_means import outcome


def said(options: VtabOptions, folders: list[str], ours: tuple[str, ...] = ()) -> list[str]:
    judged = {folder: Judged(outcome(5), "f" * 64, "file") for folder in folders}
    return differences(options, judged, vtab_means({name: each.outcome for name, each in judged.items()}, ours))


def options(**changed: Any) -> VtabOptions:
    return VtabOptions(model="m", tasks="t", output="o", **{"protocol": "fine-tune", "rule": "paper", **changed})


ALL = [task.folder for task in VTAB_TASKS]


def test_the_papers_protocol_differs_in_nothing() -> None:
    assert said(options(), ALL) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"protocol": "linear"}, "linear probe"),
        ({"rule": "code"}, "released code"),
        ({"scale": 0.05}, "0.05 of its steps"),
        ({"fine_tune_size": 224}, "pixels of a side is 224"),
        ({"fine_tune_batch": 128}, "images of a step is 128"),
        ({"fine_tune_lr": 0.001}, "learning rate is 0.001"),
    ],
)
def test_each_change_is_one_sentence(changed: dict[str, Any], words: str) -> None:
    (found,) = said(options(**changed), ALL)
    assert words in found


def test_absent_tasks_and_splits_of_ours_are_said() -> None:
    absent, ours = said(options(), ["svhn", "kitti"], ("kitti",))
    assert "17 of 19 tasks are absent" in absent and "for 1 tasks" in ours


def test_each_rule_has_its_own_settings_and_their_sources() -> None:
    found = {rule: [each.setting for each in settings_of_papers(options(rule=rule))] for rule in ("code", "paper")}
    assert any("40, 60 and 80" in each for each in found["code"]) and any("448" in each for each in found["paper"])
    assert found["code"][-4:] == found["paper"][-4:]
    assert settings_of_papers(options(protocol="linear"))[0].verified == "not verified"
