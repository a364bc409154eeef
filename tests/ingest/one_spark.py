"""One Spark session in a process for all tests that may find one there, as in a notebook: a start of Java and of a session
took more processor seconds than most of their queries do. `tests/one_worker.py` has them in one process."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tagmill.ingest.engines.spark_session import Cluster


class OneSpark:
    """The session, begun for the first test that wants it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: Cluster | None = None

    def begin(self) -> None:
        """From now on there is a session, which each cluster takes."""
        if self._begun is None:
            self._begun = self.cluster_of("local[2]", self._folder / "session")

    def cluster(self, scratch: Path) -> "Cluster":
        """Returns a cluster of a test's own, with settings of its own, in the one session."""
        self.begin()
        return self.cluster_of(None, scratch)

    def end(self) -> None:
        """From now on there is no session, until the next test wants one. Java stays."""
        if self._begun is not None:
            self._begun.close()
            self._begun = None

    @staticmethod
    def cluster_of(master: str | None, scratch: Path) -> "Cluster":
        from tagmill.ingest.engines.spark_session import Cluster

        return Cluster(master, threads=2, memory_limit="1GB", scratch=scratch)


@pytest.fixture(scope="session")
def one_spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneSpark]:
    spark = OneSpark(tmp_path_factory.mktemp("one-spark"))
    yield spark
    spark.end()
