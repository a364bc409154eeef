"""The process from which Spark forks its Python workers, with what they need imported: a worker of its own takes seconds for
that, more so as Spark gives it pyspark as an archive without bytecode.

`tests/spark_conf` names it. Spark's own daemon imports little, as libraries may begin threads when they are imported, which a
fork does not have. Of what is imported here only Arrow's allocator does, and it expects forks.
"""

import gc
import sys
from importlib import import_module

PRELOADED = (
    *("pandas", "pyspark.worker", "tagmill.ingest.engines.spark", "tagmill.ingest.spark_tasks"),
    *("tests.ingest.engines.test_spark", "tests.ingest.test_spark_tasks"),  # whose functions tasks call
)

if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path if not place.endswith(".zip")]  # what is installed has bytecode
    for name in PRELOADED:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is here is never collected in a worker, which searches after each task
    import_module("pyspark.daemon").manager()
