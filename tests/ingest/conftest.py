"""What tests of several folders here share: a process that has the libraries, from which runs to be killed are forked."""

from collections.abc import Iterator

import pytest

from tests.ingest.forked import ForkedRuns, forked_runs


@pytest.fixture(scope="session")
def runs() -> Iterator[ForkedRuns]:
    with forked_runs() as found:
        yield found
