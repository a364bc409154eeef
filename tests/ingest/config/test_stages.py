"""The values that decide a stage, and what is said of those that changed."""

from dataclasses import fields

import pytest

from tagmill.ingest import IngestConfig
from tagmill.ingest.config.stages import STAGES
from tests.ingest.config.test_ingest import NEEDED, OTHER, config


@pytest.mark.parametrize("name", OTHER)
def test_a_field_decides_its_own_stage_and_the_later_ones(name: str) -> None:
    (stage,) = [each.metadata["stage"] for each in fields(IngestConfig) if each.name == name]
    needed = NEEDED.get(name, {})
    one, other = config(**needed), config(**needed, **{name: OTHER[name]})
    differ = [one.digest(last) != other.digest(last) for last in STAGES]
    assert differ == [STAGES.index(last) >= STAGES.index(stage) for last in STAGES]
    for last in STAGES:
        assert bool(other.differences(one.deciding(last), last)) == differ[STAGES.index(last)]


def test_differences_name_each_field_with_both_values() -> None:
    then = config(input=("a.csv", "b.csv"), quality=80).deciding("fetch")
    told = config(url_column="address").differences(then, "fetch")
    assert told == [
        "input ['a.csv', 'b.csv'] then and ['list.csv'] now",
        "quality 80 then and 90 now",
        "url_column 'url' then and 'address' now",
    ]


def test_a_field_that_a_version_does_not_know_had_its_default_there() -> None:
    then = config().deciding("fetch")
    del then["honour_robots"]
    assert not config().differences(then, "fetch")
    assert config(honour_robots=False).differences(then, "fetch") == ["honour_robots True then and False now"]
    assert config().differences(then | {"of_a_later_version": 1}, "fetch") == ["of_a_later_version 1 then and None now"]


def test_a_run_from_before_limits_has_none() -> None:
    assert "limit" not in config().deciding("fetch")
    assert config(limit=3).differences(config().deciding("fetch"), "fetch") == ["limit None then and 3 now"]


def test_a_run_from_before_restart_intervals_has_none() -> None:
    """Its record lacks the field, as that of a run with --restart-interval 0, and a run without the flag is another."""
    then = config(restart_interval=0).deciding("fetch")
    assert "restart_interval" not in then
    assert not config(restart_interval=0).differences(then, "fetch")
    assert config().differences(then, "fetch") == ["restart_interval 0 then and 'auto' now"]
    assert config(restart_interval=0).differences(config(restart_interval=4).deciding("fetch"), "fetch") == [
        "restart_interval 4 then and 0 now"
    ]
    assert not config(restart_interval="auto").differences(config().deciding("fetch"), "fetch")
