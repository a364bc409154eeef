"""Turns failures of Spark, of a cluster and of tasks into one-line errors with a remedy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from py4j.protocol import Py4JError
from pyspark.errors import AnalysisException, PySparkException

from tagmill.shards import errors
from tagmill.shards.errors import ConfigError, TagmillError

_OUT_OF_ROOM = re.compile(r"No space left on device|OutOfMemoryError|UNABLE_TO_ACQUIRE_MEMORY|GC overhead")
_RESULTS_TOO_LARGE = re.compile(r"spark\.driver\.maxResultSize")
_PACKAGE_MISSING = re.compile(r"ModuleNotFoundError: (No module named '[\w.]+')")
_OTHER_PYTHON = re.compile(r"PYTHON_VERSION_MISMATCH\]? ?(?:Python in worker has different version: ?)?(.*)")
_NO_PYTHON = re.compile(r'Cannot run program "[^"]*"')
_CALL = "An error occurred while calling"  # the reason is in the next line
_CONNECTION_LOST = re.compile(r"Errno 111|Connection refused|Answer from Java side is empty")
_OUR_ERROR = re.compile(r"^tagmill\.shards\.errors\.(\w+): (.+)$", re.MULTILINE)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns failures of Spark, a cluster or a task into a TagmillError with a remedy; a mistake in our SQL stays as it is."""
    try:
        yield
    except AnalysisException:
        raise
    except (PySparkException, Py4JError, ConnectionError) as error:
        _raise(error, what)


def _raise(error: Exception, what: str) -> NoReturn:
    text = str(error)
    if ours := _OUR_ERROR.search(text):
        kind: Any = getattr(errors, ours[1], TagmillError)
        raise kind(ours[2], f"on Spark, {what}", "") from error
    if _RESULTS_TOO_LARGE.search(text):
        remedy = "raise spark.driver.maxResultSize in spark-defaults.conf or by --conf, then run it again"
        raise TagmillError("results of tasks are larger than spark.driver.maxResultSize", what, remedy) from error
    for pattern in (_PACKAGE_MISSING, _OTHER_PYTHON, _NO_PYTHON):
        if lacking := pattern.search(text):
            remedy = (
                "install the same Python minor version and tagmill[ingest,spark] on every executor, or send this"
                " environment by spark.archives, and let PYSPARK_PYTHON name its Python (docs/how-to/spark.md)"
            )
            found = lacking[lacking.lastindex or 0].strip()[:200]
            raise ConfigError(f"the Python of an executor does not fit: {found}", what, remedy) from error
    if room := _OUT_OF_ROOM.search(text):
        remedy = "raise --memory-limit (on a cluster: the executors'), or give a --spool on a larger disk"
        raise TagmillError(f"set operations ran out of space: {room[0]}", what, remedy) from error
    if "Python worker exited unexpectedly" in text:
        remedy = "run it again, what is finished stays; if it dies again give executors more memory or fewer cores"
        raise TagmillError("a worker process of Spark died", what, remedy) from error
    no_answer = not isinstance(error, PySparkException) and not hasattr(error, "java_exception")
    if no_answer or _CONNECTION_LOST.search(first_line(text)):
        remedy = "run it again, what is finished stays; if it dies again raise --memory-limit"
        raise TagmillError("the Java process of Spark died", what, remedy) from error
    remedy = "look into Spark's log, then run it again: what is finished stays"
    raise TagmillError(f"Spark failed: {first_line(text)}", what, remedy) from error


def first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_CALL)]
    return (lines or ["it does not say why"])[0][:300]
