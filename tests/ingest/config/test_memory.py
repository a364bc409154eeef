"""Sizes in words, and how memory is shared."""

import pytest

from tagmill.ingest.config.memory import bytes_of, shared
from tagmill.shards.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5B", 5),
        ("2GB", 2 * 10**9),
        ("1.5 KiB", 1536),
        ("1.5 GiB", 3 << 29),
        ("700 KB", 700_000),
        ("300MiB", 300 << 20),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "2", "much", "0GB", "-1GB", "2gb"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no size"):
        bytes_of(text)


def test_all_shares_fit() -> None:
    engine, beside = shared(6 << 30)
    assert 0 < beside < engine and engine + beside < 6 << 30
