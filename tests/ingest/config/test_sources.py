"""Columns by flag, preset or default, and names that they cannot have."""

import dataclasses

import pytest

from tagmill.ingest.config.presets import Columns
from tagmill.ingest.config.sources import TAKEN_COLUMNS
from tagmill.ingest.parts.table import PART
from tagmill.shards.errors import ConfigError
from tagmill.shards.formats.record import FACTS
from tests.ingest.config.test_ingest import config


def test_columns_are_named_by_flag_or_preset_or_habit() -> None:
    assert config().columns == Columns("url", "tags")
    assert config(caption_column="text").columns == Columns("url", caption="text")
    assert config(caption_column="text", tags_column="tags").columns == Columns("url", "tags", "text")
    assert config(preset="laion").columns == Columns("URL", caption="TEXT")
    assert config(preset="laion", url_column="url", tags_column="t").columns == Columns("url", "t", "TEXT")
    yfcc = config(preset="yfcc100m", licence_column="licence_name", caption_column="description").columns
    assert yfcc == Columns("download_url", "user_tags", "description", "licence_name", "page_url")


def test_captions_may_be_kept_too() -> None:
    kept = config(caption_column="text", extra_columns=("text", "likes")).columns
    assert kept.flags() == {"url": "--url-column", "text": "--caption-column", "likes": "--extra-columns"}
    with pytest.raises(ConfigError, match="twice"):
        config(caption_column="text", extra_columns=("text", "text"))


def test_nouns_of_captions_need_a_column_of_captions() -> None:
    for named in ({"caption_column": "text"}, {"preset": "laion"}, {"preset": "img2dataset"}):
        assert config(**named, caption_nouns=True).caption_nouns and not config(**named).caption_nouns
    with pytest.raises(ConfigError, match=r"--caption-nouns.*by --caption-column"):
        config(caption_nouns=True)


def test_the_columns_of_our_tables_are_taken() -> None:
    assert {*PART.names, *FACTS.names} <= TAKEN_COLUMNS


def test_a_tab_as_a_shell_leaves_it_is_a_tab() -> None:
    typed = config(tags_separator=r"\t")
    assert typed.tags_separator == "\t" and typed == dataclasses.replace(typed) == config(tags_separator="\t")
