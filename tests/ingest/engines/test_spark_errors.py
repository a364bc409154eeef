"""Failures of Spark are one-line errors with a remedy."""

import pytest

from tagmill.shards.errors import TagmillError
from tests.ingest.java import needs_spark

pytestmark = needs_spark


def test_sparks_errors_are_classified_by_remedy() -> None:
    from pyspark.errors import AnalysisException, PySparkRuntimeError

    from tagmill.ingest.engines.spark_errors import explained

    def told(text: str) -> str:
        with pytest.raises(TagmillError) as raised, explained("statement x"):
            raise PySparkRuntimeError(text)
        return str(raised.value)

    assert "raise --memory-limit" in told("Job aborted.\n java.lang.OutOfMemoryError: Java heap space")
    assert "a worker process of Spark died" in told("x\nPython worker exited unexpectedly (crashed)")
    assert (
        told("\n\n boom\n at x")
        == "Spark failed: boom (statement x): look into Spark's log, then run it again: what is finished stays"
    )
    with pytest.raises(AnalysisException), explained("statement x"):
        raise AnalysisException("our mistake")
