"""Files that use Spark in their process are one unit of work; others are units by themselves."""

from tests.sources import ROOT
from tests.warm.one_worker import SPARK, unit_of


def test_files_that_use_spark_go_to_one_process() -> None:
    files = ["tests/ingest/engines/test_spark.py", "tests/ingest/test_spark_tasks.py", "tests/test_house.py"]
    assert [unit_of(ROOT, file) for file in files] == [SPARK, SPARK, "tests/test_house.py"]
