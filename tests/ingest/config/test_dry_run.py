"""The flags of an estimate need each other, and are in range."""

from typing import Any

import pytest

from tagmill.ingest.config.dry_run import MAX_SAMPLE, DryRunOptions
from tagmill.shards.errors import ConfigError


@pytest.mark.parametrize("given", [{"sample": 5}, {"rate": 2.0}])
def test_a_part_of_an_estimate_needs_the_estimate(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="add --dry-run"):
        DryRunOptions(**given)
    DryRunOptions(dry_run=True, **given)


@pytest.mark.parametrize("given", [{"sample": 0}, {"sample": MAX_SAMPLE + 1}, {"rate": 0.0}, {"rate": float("nan")}])
def test_what_is_out_of_range_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DryRunOptions(dry_run=True, **given)
