"""Whether Spark can run here; tests that need it carry `needs_spark`."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

_HOME = os.environ.get("JAVA_HOME")
_MISSING = [name for name in ("pyspark", "pandas", "sqlglot") if importlib.util.find_spec(name) is None]
if shutil.which(str(Path(_HOME, "bin", "java")) if _HOME else "java") is None:
    _MISSING.append("a Java runtime")
needs_spark = pytest.mark.skipif(bool(_MISSING), reason=f"Spark needs {', '.join(_MISSING)}")
