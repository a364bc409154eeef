"""Tests of what is run on a task, and by which name it is kept."""

from pathlib import Path

import pytest

from tagmill.shards import InputError
from tagmill.transfer.vtab.task_runs import task_sets, tuning_facts
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_tasks import VTAB_TASKS, vtab_task
from tests.transfer.command.drawn_folder import write_folder


def test_a_task_without_lists_needs_a_thousand_images(tmp_path: Path) -> None:
    write_folder(tmp_path / "svhn", 3, 16, seed=1)
    with pytest.raises(InputError, match="48 images, where 800 and 200 are drawn"):
        task_sets(str(tmp_path), vtab_task("svhn"))


def test_a_tasks_exceptions_are_in_the_name_of_its_outcome() -> None:
    options = VtabOptions(model="m", tasks="t", output="o", scale=0.5)
    facts = {task.folder: tuning_facts(options, task) for task in VTAB_TASKS}
    assert {name for name, each in facts.items() if not each["crop"]} >= {"dmlab", "kitti", "dsprites_loc"}
    assert all(each["scale"] == 0.5 and each["rule"] == "code" for each in facts.values())
