"""A config that cannot be right is refused when it is made; its digest covers what decides bytes and nothing else."""

import dataclasses
import json
from typing import Any

import pytest

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.presets import Columns
from tagmill.ingest.config.sources import TAKEN_COLUMNS
from tagmill.ingest.config.stages import FETCH, FETCH_CONTENT, LABEL, NO_BYTE, PACK, SELECT, SELECT_CONTENT
from tagmill.ingest.parts.table import PART
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import FACTS


def config(**settings: Any) -> IngestConfig:
    return IngestConfig(**{"input": ("list.csv",), "output": "corpus", **settings})


WRONG: list[tuple[str, Any]] = [
    *[("input", ()), ("input", "list.csv"), ("input", ("",)), ("output", " "), ("name", ""), ("user_agent", "")],
    *[("user_agent", "me\r\nHost: you"), ("user_agent", "ü"), ("url_column", ""), ("tags_column", "url")],
    *[
        ("licence_column", "tags"),
        ("extra_columns", ("a", "a")),
        ("extra_columns", ("key",)),
        ("tags_separator", ""),
        ("quoting", "all"),
    ],
    *[("extra_columns", ("part",)), ("extra_columns", ("a.b",)), ("concurrency", 0), ("timeout", 0.0)],
    *[("decoders", 0), ("decode_timeout", 0.0), ("decode_timeout", float("inf")), ("decode_timeout", float("nan"))],
    *[("timeout", float("nan")), ("timeout", float("inf")), ("retries", -1), ("max_bytes", 0), ("max_redirects", -1)],
    *[("image_size", 7), ("image_size", 70_000), ("quality", 0), ("quality", 101), ("min_side", 0), ("max_pixels", 0)],
    *[("max_aspect", 0.9), ("max_aspect", float("nan")), ("max_aspect", float("inf")), ("resize", "fixed")],
    *[("reencode", "maybe"), ("reencode", "never")],
    *[("rows_per_part", 0), ("parts_per_group", 0), ("shard_samples", 0), ("shard_bytes", 0), ("min_count", 0)],
    *[("top_k", 0), ("max_labels", 0), ("rule", "some"), ("holdout", -1), ("processes", 0), ("memory_limit", "much")],
    *[("near_threshold", 65), ("near_bits", -1), ("near_tables", 0), ("near_quality", 101), ("near_bucket", 1)],
    *[("placeholder_urls", 1), ("evaluation", "no"), ("evaluation_threshold", -1), ("evaluation_set", ("val",))],
    *[
        ("evaluation_set", ("a=b", "a=c")),
        ("blocklist", ("",)),
        ("memory_limit", "2"),
        ("spool", "s3://bucket/x"),
        ("failure_budget", 1.1),
        ("failure_budget", -0.1),
    ],
    *[("failure_budget", float("nan")), ("seed", 1 << 63), ("host_concurrency", 0), ("host_failures", 0)],
    *[("host_delay", -1.0), ("host_delay", float("inf")), ("host_delay", float("nan")), ("retry_share", -0.1)],
    *[("max_crawl_delay", -1.0), ("max_crawl_delay", float("nan")), ("robots_max_age", -1.0)],
    *[("robots_max_age", float("nan")), ("retry_share", float("nan")), ("retry_share", float("inf"))],
    *[("preset", "coco"), ("caption_column", "url")],
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_cannot_be_right_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{name: value})
    assert "\n" not in str(caught.value) and "(--" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "way_out"),
    [
        ({"reencode": "never"}, "--resize no"),
        ({"reencode": "never", "resize": "border"}, "--resize no"),
        ({"resize": "no", "only_if_bigger": False}, "leave it out"),
        ({"image_size": 2000, "max_pixels": 3_999_999, "only_if_bigger": False}, "--max-pixels"),
    ],
)
def test_image_flags_that_do_not_go_together_name_the_way_out(settings: dict[str, Any], way_out: str) -> None:
    with pytest.raises(ConfigError, match=way_out):
        config(**settings)


def test_image_flags_that_go_together() -> None:
    assert config(reencode="never", resize="no").images.reencode == "never"
    assert config(image_size=2000, max_pixels=4_000_000, only_if_bigger=False).images.only_if_bigger is False
    assert config(max_aspect=1).images.max_aspect == 1  # nothing but squares


# Another valid value for every field: `digest` must tell these apart, or must not.
OTHER: dict[str, Any] = {
    "input": ("b.csv",),
    "name": "b",
    "seed": 1,
    "source": "tars",
    "keep_order": True,
    "tags_from_folder": True,
    "preset": "yfcc100m",
    "url_column": "b",
    "tags_column": "b",
    "caption_column": "b",
    "tags_separator": " ",
    "quoting": "none",
    "licence_column": "b",
    "page_column": "b",
    "extra_columns": ("b",),
    "max_bytes": 1,
    "max_redirects": 1,
    "allow_private": True,
    "honour_opt_outs": False,
    "honour_robots": False,
    "image_size": 64,
    "quality": 1,
    "min_side": 1,
    "max_pixels": 1,
    "max_aspect": 3.0,
    "resize": "border",
    "only_if_bigger": False,
    "reencode": "auto",
    "rows_per_part": 1,
    "parts_per_group": 1,
    "shard_samples": 1,
    "shard_bytes": 1,
    "vocabulary": "in1k",
    "min_count": 2,
    "top_k": 1,
    "max_labels": 1,
    "rule": "all",
    "short_tokens": True,
    "holdout": 1,
    "extend": True,
    "recount": True,
    "drop_views": ("b",),
    "near_threshold": -1,
    "near_bits": 9,
    "near_tables": 3,
    "near_quality": 0,
    "near_bucket": 2,
    "placeholder_urls": 0,
    "evaluation": "mark",
    "evaluation_threshold": 0,
}
NO_MATTER: dict[str, Any] = {
    "output": "b",
    "concurrency": 1,
    "host_concurrency": 1,
    "host_delay": 1.0,
    "max_crawl_delay": 3.0,
    "robots_max_age": 60.0,
    "host_failures": 1,
    "retry_share": 1.0,
    "timeout": 1.0,
    "retries": 0,
    "user_agent": "b",
    "processes": 77,
    "decoders": 3,
    "mixed_stack": True,
    "decode_timeout": 1.0,
    "engine": "spark",
    "spark_master": "local[2]",
    "memory_limit": "1GB",
    "spool": "/b",
    "keep_parts": True,
    "failure_budget": 0.5,
    "takedown": ("list.txt",),
    "evaluation_set": ("val=folder",),
    "blocklist": ("list.txt",),
}


def test_every_field_is_covered_here() -> None:
    assert {field.name for field in dataclasses.fields(IngestConfig)} == OTHER.keys() | NO_MATTER.keys()


def test_every_field_has_a_stage_or_says_that_it_touches_no_byte() -> None:
    told = [FETCH, SELECT, PACK, LABEL, FETCH_CONTENT, SELECT_CONTENT, NO_BYTE]
    for field in dataclasses.fields(IngestConfig):
        assert field.metadata in told, f"{field.name}: say in its metadata which stage it touches first"
        plain = field.metadata["stage"] is not None and not field.metadata["content"]
        assert plain == (field.name in OTHER), field.name


@pytest.mark.parametrize("name", OTHER)
def test_the_digest_covers(name: str) -> None:
    grown = {"extend": True} if name in ("recount", "drop_views") else {}
    assert config(**grown, **{name: OTHER[name]}).digest() != config(**grown).digest()


@pytest.mark.parametrize("name", NO_MATTER)
def test_the_digest_leaves_aside(name: str) -> None:
    assert config(**{name: NO_MATTER[name]}).digest() == config().digest()


def test_columns_are_named_by_flag_or_preset_or_habit() -> None:
    assert config().columns == Columns("url", "tags")
    assert config(caption_column="text").columns == Columns("url", caption="text")
    assert config(caption_column="text", tags_column="tags").columns == Columns("url", "tags", "text")
    assert config(preset="laion").columns == Columns("URL", caption="TEXT")
    assert config(preset="laion", url_column="url", tags_column="t").columns == Columns("url", "t", "TEXT")
    yfcc = config(preset="yfcc100m", licence_column="licence_name", caption_column="description").columns
    assert yfcc == Columns("download_url", "user_tags", "description", "licence_name", "page_url")


def test_a_column_is_the_same_by_flag_and_by_habit() -> None:
    assert config(url_column="url", tags_column="tags").digest() == config().digest()
    assert config(preset="laion", url_column="URL").digest() == config(preset="laion").digest()
    assert config(url_column="URL", caption_column="TEXT").digest() != config(preset="laion", url_column="x").digest()


def test_captions_may_be_kept_too() -> None:
    kept = config(caption_column="text", extra_columns=("text", "likes")).columns
    assert kept.flags() == {"url": "--url-column", "text": "--caption-column", "likes": "--extra-columns"}
    with pytest.raises(ConfigError, match="twice"):
        config(caption_column="text", extra_columns=("text", "text"))


def test_the_columns_of_our_tables_are_taken() -> None:
    assert {*PART.names, *FACTS.names} <= TAKEN_COLUMNS


def test_the_image_policy_says_what_decides_a_picture() -> None:
    policy = config(image_size=99, quality=77).image_policy()
    assert (policy["image_size"], policy["quality"], policy["filter"]) == (99, 77, "box")
    assert policy["format"] == "baseline JPEG 4:2:0, sRGB"
    other = config(resize="border", only_if_bigger=False, max_aspect=4.0, reencode="auto").image_policy()
    assert [other[name] for name in ("resize", "only_if_bigger", "max_aspect", "reencode")] == [
        "border",
        False,
        4.0,
        "auto",
    ]
    assert (other["filter"], other["format"]) == ("box, lanczos to enlarge", "baseline JPEG 4:2:0 or 4:4:4, sRGB")
    assert json.loads(json.dumps(other)) == other


def test_it_is_frozen_and_every_field_is_documented() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().seed = 3  # type: ignore[misc]


def test_what_is_for_a_corpus_that_is_there_needs_it() -> None:
    for flags in ({"recount": True}, {"drop_views": ("mine",)}):
        with pytest.raises(ConfigError, match="add --extend"):
            config(**flags)
        assert config(extend=True, **flags).extend


def test_a_tab_as_a_shell_leaves_it_is_a_tab() -> None:
    typed = config(tags_separator=r"\t")
    assert typed.tags_separator == "\t" and typed == dataclasses.replace(typed) == config(tags_separator="\t")
