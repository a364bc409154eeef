"""Which test files one process of a parallel run takes: a file stays whole, and all that use Spark in their process go to one,
so that they share a Java and a session.

xdist's own groups, `--dist loadgroup`, would put the group into each test's name, by which `--last-failed` finds it later.
"""

from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

SPARK = "the files that use Spark"


class SparkTogether(LoadFileScheduling):
    """Gives files to processes in the order of their first tests."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(self._root, super()._split_scope(nodeid))


@cache
def unit_of(root: Path, file: str) -> str:
    """Returns the name of the work that a file is a part of: its own, or that of all with the fixture of
    `tests/ingest/one_spark.py`."""
    return SPARK if "one_spark" in (root / file).read_text() else file
