"""The option classes of the rooms: each is checked by itself, and together they are the config."""

from dataclasses import fields
from typing import Any

import pytest

from tagmill.ingest.config.duplicates import DuplicateOptions
from tagmill.ingest.config.fetch import FetchOptions
from tagmill.ingest.config.filters import FilterOptions
from tagmill.ingest.config.images import ImageOptions
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.labels import LabelOptions
from tagmill.ingest.config.options import Options, flag_of
from tagmill.ingest.config.run import RunOptions
from tagmill.ingest.config.shards import ShardOptions
from tagmill.ingest.config.sources import SourceOptions
from tagmill.shards.errors import ConfigError

WRONG: list[tuple[type[Options], str, Any]] = [
    (SourceOptions, "input", ()),
    (FetchOptions, "timeout", 0),
    (ImageOptions, "quality", 101),
    (FilterOptions, "blocklist", ("",)),
    (DuplicateOptions, "near_bits", 65),
    (LabelOptions, "top_k", 0),
    (ShardOptions, "holdout", -1),
    (RunOptions, "memory_limit", "much"),
]
NEEDED: dict[type[Options], dict[str, Any]] = {SourceOptions: {"input": ("a.csv",)}, RunOptions: {"output": "corpus"}}


@pytest.mark.parametrize(("options", "name", "value"), WRONG)
def test_each_checks_its_own_fields_and_names_the_flag(options: type[Options], name: str, value: Any) -> None:
    assert options(**NEEDED.get(options, {}))
    with pytest.raises(ConfigError) as caught:
        options(**{**NEEDED.get(options, {}), name: value})
    assert (caught.value.what, caught.value.where) == (f"{name} = {value!r}", flag_of(name))


def test_the_config_has_each_field_from_one_of_them() -> None:
    names = [each.name for options, _, _ in WRONG for each in fields(options)]  # type: ignore[arg-type]
    assert sorted(names) == sorted(each.name for each in fields(IngestConfig))
    assert IngestConfig.__bases__ == tuple(options for options, _, _ in WRONG)


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("concurrency", 0, "give a whole number of at least 1"),
        ("quality", 95.5, "give a whole number from 1 to 100"),
        ("timeout", float("inf"), "give a number above 0"),
        ("host_delay", 3601.0, "give a number from 0 to 3600"),
        ("seed", 1 << 63, "give a whole number from -2^63 to 2^63 - 1"),
        ("rule", "some", "give one of merge, first, all"),
        ("extend", 1, "give True or False"),
        ("max_aspect", 0.5, "give a number of at least 1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(name: str, value: Any, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        IngestConfig(input=("a.csv",), output="corpus", **{name: value})
    assert caught.value.remedy == remedy
