"""Options of images: which go together, and what the corpus says about them."""

import json
from typing import Any

import pytest

from tagmill.shards.errors import ConfigError
from tests.ingest.config.test_ingest import config


@pytest.mark.parametrize(
    ("settings", "way_out"),
    [
        ({"reencode": "never"}, "--resize no"),
        ({"reencode": "never", "resize": "border"}, "--resize no"),
        ({"reencode": "never", "resize": "no", "restart_interval": "auto"}, "--reencode auto"),
        ({"reencode": "never", "resize": "no", "restart_interval": 4}, "--reencode auto"),
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


def test_the_image_policy_of_earlier_versions_still_holds() -> None:
    """`corpus.json` holds it, in this order."""
    assert list(config(resize="border", restart_interval=0).image_policy().items()) == [
        ("image_size", 256),
        ("quality", 90),
        ("min_side", 16),
        ("max_pixels", 200_000_000),
        ("max_aspect", None),
        ("resize", "border"),
        ("only_if_bigger", True),
        ("reencode", "always"),
        ("filter", "box"),
        ("format", "baseline JPEG 4:2:0, sRGB"),
    ]


@pytest.mark.parametrize(
    ("settings", "interval"),
    [
        ({}, "auto"),
        ({"reencode": "auto"}, "auto"),
        ({"restart_interval": 4}, 4),
        ({"restart_interval": 0}, 0),
        ({"reencode": "never", "resize": "no"}, 0),
        ({"reencode": "never", "resize": "no", "restart_interval": 0}, 0),
    ],
)
def test_the_restart_interval_is_a_part_of_the_image_policy(settings: dict[str, Any], interval: object) -> None:
    chosen = config(**settings)
    assert chosen.images.restart_interval == chosen.markers == interval
    assert chosen.image_policy().get("restart_interval", 0) == interval
    assert ("restart_interval" in chosen.image_policy()) == (interval != 0)
