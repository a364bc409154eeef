"""A config that cannot be right is refused when it is made; its digest covers what decides bytes and nothing else."""

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from tagmill.ingest.config.fetch import ROWS_UNNAMED
from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.stages import (
    FETCH,
    FETCH_CONTENT,
    LABEL,
    NO_BYTE,
    PACK,
    SELECT,
    SELECT_CONTENT,
    STAGES,
)
from tagmill.shards.errors import ConfigError


def config(**settings: Any) -> IngestConfig:
    return IngestConfig(**{"input": ("list.csv",), "output": "corpus", **settings})


WRONG: list[tuple[str, Any]] = [
    *[
        ("input", ()),
        ("input", "list.csv"),
        ("input", ("",)),
        ("output", " "),
        ("output", "hf://datasets/a/b"),
        ("name", ""),
        ("user_agent", ""),
        *[
            ("contact", text)
            for text in ("", "me", "ftp://x/", "a b@c.org", "a@b.org)", "https://x/\r\nHost: y", "ü@b.org")
        ],
    ],
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
    *[("restart_interval", -1), ("restart_interval", 65_536), ("restart_interval", "often"), ("restart_interval", 2.0)],
    ("restart_interval", True),
    *[
        ("limit", 0),
        ("limit", 2.0),
        ("caption_nouns", True),
        ("caption_nouns", "yes"),
        ("altered", "drop"),
        ("sha256_column", "url"),
        ("md5_column", ""),
    ],
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_cannot_be_right_is_refused_in_one_line(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**{name: value})
    assert "\n" not in str(caught.value) and "(--" in str(caught.value)


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
    "caption_nouns": True,
    "image_column": "b",
    "tags_separator": " ",
    "quoting": "none",
    "licence_column": "b",
    "page_column": "b",
    "extra_columns": ("b",),
    "where": "b > 1",
    "limit": 1,
    "sha256_column": "sha256",
    "md5_column": "md5",
    "altered": "keep",
    "max_bytes": 1,
    "max_redirects": 1,
    "allow_private": True,
    "honour_opt_outs": False,
    "honour_robots": False,
    "honour_content_signal": False,
    "honour_content_usage": False,
    "honour_tdm": False,
    "honour_iptc": False,
    "honour_c2pa": False,
    "image_size": 64,
    "quality": 1,
    "min_side": 1,
    "max_pixels": 1,
    "max_aspect": 3.0,
    "resize": "border",
    "only_if_bigger": False,
    "reencode": "auto",
    "restart_interval": 0,
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
NEEDED: dict[str, dict[str, Any]] = {  # without which a value of OTHER is refused
    "recount": {"extend": True},
    "drop_views": {"extend": True},
    "caption_nouns": {"caption_column": "b"},
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
    "contact": "https://example.org/bot",
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
    needed = NEEDED.get(name, {})
    assert config(**needed, **{name: OTHER[name]}).digest() != config(**needed).digest()


@pytest.mark.parametrize("name", NO_MATTER)
def test_the_digest_leaves_aside(name: str) -> None:
    assert config(**{name: NO_MATTER[name]}).digest() == config().digest()


def test_a_column_is_the_same_by_flag_and_by_habit() -> None:
    assert config(url_column="url", tags_column="tags").digest() == config().digest()
    assert config(preset="laion", url_column="URL").digest() == config(preset="laion").digest()
    assert config(url_column="URL", caption_column="TEXT").digest() != config(preset="laion", url_column="x").digest()


def test_a_contact_is_in_the_user_agent_and_its_absence_is_said_of_long_lists() -> None:
    assert config().full_user_agent == config().user_agent
    for contact in ("https://example.org/bot?a=1", "you@example.org", "mailto:you@example.org"):
        assert config(user_agent="bot/1", contact=contact).full_user_agent == f"bot/1 (+{contact})"
    assert config().contact_advice(ROWS_UNNAMED) is None
    assert "--contact" in str(config().contact_advice(ROWS_UNNAMED + 1))
    for named in ({"contact": "you@example.org"}, {"user_agent": "mine/1 (+https://x)"}, {"allow_private": True}):
        assert config(**named).contact_advice(10**9) is None


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().seed = 3  # type: ignore[misc]


def test_what_is_for_a_corpus_that_is_there_needs_it() -> None:
    for flags in ({"recount": True}, {"drop_views": ("mine",)}):
        with pytest.raises(ConfigError, match="add --extend"):
            config(**flags)
        assert config(extend=True, **flags).extend


NEW_OPT_OUTS = ("honour_content_signal", "honour_content_usage", "honour_tdm", "honour_iptc", "honour_c2pa")
CASES: dict[str, dict[str, Any]] = {
    "plain": {"input": ("list.csv",)},
    "laion": {
        "input": ("s3://bucket/a.parquet", "b.parquet"),
        "preset": "laion",
        "image_size": 384,
        "resize": "keep_ratio_largest",
        "reencode": "auto",
        "quality": 95,
        "max_aspect": 3.0,
        "seed": 7,
        "holdout": 5000,
    },
    "yfcc": {
        "input": ("yfcc100m_dataset.bz2",),
        "preset": "yfcc100m",
        "caption_column": "title",
        "extra_columns": ("date_taken", "title"),
        "tags_from_folder": True,
        "quoting": "none",
        "tags_separator": "\t",
        "honour_robots": False,
        "honour_opt_outs": False,
        "allow_private": True,
        "max_bytes": 1000000,
        "max_redirects": 0,
    },
    "tars": {
        "input": ("tars/{000..100}.tar",),
        "source": "tars",
        "keep_order": True,
        "reencode": "never",
        "resize": "no",
        "min_side": 100,
        "max_pixels": 100000000,
        "rows_per_part": 100,
        "parts_per_group": 3,
        "shard_samples": 77,
        "shard_bytes": 1000000,
    },
    "labels": {
        "input": ("a.tsv",),
        "tags_column": "words",
        "url_column": "address",
        "licence_column": "l",
        "page_column": "p",
        "vocabulary": "in21k",
        "min_count": 100,
        "top_k": 5000,
        "max_labels": 4,
        "rule": "all",
        "short_tokens": True,
        "name": "Bäume",
    },
    "near": {
        "input": ("a.tsv",),
        "near_threshold": -1,
        "near_bits": 20,
        "near_tables": 12,
        "near_quality": 0,
        "near_bucket": 1000,
        "placeholder_urls": 0,
        "evaluation": "mark",
        "evaluation_threshold": 20,
        "evaluation_set": ("val=folder",),
        "blocklist": ("list.txt",),
        "takedown": ("x.txt",),
    },
    "extend": {
        "input": ("more.jsonl",),
        "extend": True,
        "recount": True,
        "drop_views": ("mine", "other"),
        "image_size": 100,
        "only_if_bigger": False,
        "resize": "border",
    },
    "speed": {
        "input": ("list.csv",),
        "concurrency": 1,
        "host_concurrency": 2,
        "host_delay": 1.5,
        "host_failures": 3,
        "timeout": 3.0,
        "retries": 0,
        "retry_share": 2.0,
        "max_crawl_delay": 0.0,
        "robots_max_age": 1.0,
        "user_agent": "x",
        "processes": 3,
        "decoders": 2,
        "decode_timeout": 1.0,
        "engine": "spark",
        "spark_master": "local[2]",
        "memory_limit": "1.5 GiB",
        "spool": "/x",
        "keep_parts": True,
        "failure_budget": 0.5,
    },
}
# The first 16 hex digits of sha256: of each stage, by the flat class of before (d16c1bb), and of all, by c155b21.
DIGESTS = {
    "plain": ("47e9b0d81fcef5c2", "2b79470a589a14e3", "6497de57d8a4a340", "cf95ea77a053fcde", "d8d85d0da50f5114"),
    "laion": ("fc7c4d027c05bbe2", "64d0ee0dd346adf8", "afc66eb05e775a4c", "dd915f833328dca2", "efee58bd05066b3b"),
    "yfcc": ("57429991a075bc02", "7c568e2c7ad219b3", "9fbc8e87c81808a4", "9215b81808ddb755", "d026565d9fd7a040"),
    "tars": ("a38d926f9d6de3c2", "4358c9c9fa3c02f4", "94677dc806c9eb58", "aad9595247d3e97e", "37695021f3ddccd3"),
    "labels": ("0fd5705d2cc9b6ff", "7acb686cbbd845e3", "939adf875c0a3aff", "a555b429c47e14ff", "83b7a8117c54c667"),
    "near": ("c94e4a52ea0d88a7", "2ef5d3041807d0fe", "25955baa10c43517", "5ead6472fedafa33", "527c36c243ac2d7a"),
    "extend": ("423fd7bb32a81743", "ef4e6d04cd7d1e2f", "bf19a01b30eaaea6", "5adab28a493d9fee", "46389b00bb90ec47"),
    "speed": ("47e9b0d81fcef5c2", "2b79470a589a14e3", "6497de57d8a4a340", "cf95ea77a053fcde", "d8d85d0da50f5114"),
}


def of_c155b21(config: IngestConfig) -> str:
    """The digest as c155b21 made it: columns in a table of their own, no flags of extending where they are not set, and without
    two flags that came later."""
    values = config.deciding()
    for name in (
        "short_tokens",
        "quoting",
        *(f"{name}_column" for name in ("url", "tags", "caption", "licence", "page")),
    ):
        del values[name]
    del values["extra_columns"]
    values = {name: value for name, value in values.items() if value or name not in ("extend", "recount", "drop_views")}
    columns = dataclasses.asdict(config.columns)
    values["columns"] = {
        name: column for name, column in columns.items() if name not in ("sha256", "md5", "image", "where")
    }  # later ones
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_digests_of_earlier_versions_still_hold(name: str) -> None:
    """A corpus or a run of before is resumed and extended only where they are equal. They have no restart markers."""
    later = dict.fromkeys(NEW_OPT_OUTS, False)
    chosen = IngestConfig(output="corpus", restart_interval=0, **later, **CASES[name])
    *stages, whole = DIGESTS[name]
    assert [chosen.digest(stage)[:16] for stage in STAGES] == stages
    assert of_c155b21(chosen)[:16] == whole
