"""Tests of the facts of VTAB's tasks."""

import pytest

from tagmill.shards import ConfigError
from tagmill.transfer.vtab.vtab_tasks import VTAB_GROUPS, VTAB_TASKS, vtab_task


def test_there_are_19_tasks_in_three_groups() -> None:
    assert (
        len({task.folder for task in VTAB_TASKS}) == len({task.title for task in VTAB_TASKS}) == len(VTAB_TASKS) == 19
    )
    assert [sum(task.group == group for task in VTAB_TASKS) for group in VTAB_GROUPS] == [7, 4, 8]


def test_bits_exceptions_are_those_of_its_appendix() -> None:
    assert {task.folder for task in VTAB_TASKS if not task.flip} == {"dsprites_ori", "smallnorb_azi", "dsprites_loc"}
    assert {task.folder for task in VTAB_TASKS if not task.crop} == {
        "clevr_count",
        "clevr_dist",
        "dmlab",
        "kitti",
        "dsprites_loc",
    }


def test_another_name_is_refused_with_the_names_that_there_are() -> None:
    assert vtab_task("svhn").classes == 10
    with pytest.raises(ConfigError, match=r"no task '\\x1b\[0m'.*caltech101, cifar"):
        vtab_task("\x1b[0m")
