"""Tests the options for decoding on a GPU."""

from typing import Any

import pytest

from tagmill.pipeline.decoding import MOST_DEPTH, Decoding
from tagmill.shards.errors import ConfigError

WRONG: list[dict[str, Any]] = [
    {"window": "half"},
    {"hw_decoder_load": 1.1},
    {"hw_decoder_load": True},
    {"hw_decoder_load": "0.5"},
    {"depth": 0},
    {"depth": MOST_DEPTH + 1},
    {"depth": True},
    {"fused": 1},
    {"share_bytes": None},
    {"fancy_upsampling": "no"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_invalid_values_raise_an_error(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        Decoding(**wrong)


def test_the_limits_are_allowed() -> None:
    assert (
        Decoding(hw_decoder_load=0).hw_decoder_load == 0 and Decoding(hw_decoder_load=1.0, depth=MOST_DEPTH).depth == 3
    )
