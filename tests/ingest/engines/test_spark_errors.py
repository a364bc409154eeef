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
    large = told("Total size of serialized results of 9 tasks is bigger than spark.driver.maxResultSize (1024.0 MiB)")
    assert "raise spark.driver.maxResultSize" in large and "--memory-limit" not in large
    for text, found in (
        ("x\nModuleNotFoundError: No module named 'pyarrow'\n", "No module named 'pyarrow'"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in driver: 3.12", "3.9 than"),
        ('java.io.IOException: Cannot run program "/none/python": error=2', '"/none/python"'),
    ):
        said = told(text)
        assert f"the Python of an executor does not fit: {found}" in said.replace("Cannot run program ", "")
        assert "PYSPARK_PYTHON" in said
    assert told("An error occurred while calling o1.count.\n: it broke\n").startswith("Spark failed: : it broke")
    with pytest.raises(AnalysisException), explained("statement x"):
        raise AnalysisException("our mistake")
