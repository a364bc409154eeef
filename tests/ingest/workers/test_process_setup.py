"""Settings of tagmill's processes, each in a process of its own, because they cannot be undone."""

import importlib.util
import os
import subprocess
import sys

import pytest


def said(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-c", f"from tagmill.ingest.workers.process_setup import *\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_pandas_is_left_out_and_nothing_else() -> None:
    code = """
import importlib.util
take_back = leave_out_pandas()
print(importlib.util.find_spec("json") is not None)
importlib.util.find_spec("pandas")  # a question, as torch's compiler asks it, and no import
try:
    import pandas
except ModuleNotFoundError as error:
    print(error)
import pyarrow as pa, numpy
print(pa.array(numpy.arange(3)).to_pylist(), "pandas" in __import__("sys").modules)
take_back()
print(importlib.util.find_spec("pandas") is not None)
"""
    here = importlib.util.find_spec("pandas") is not None
    assert said(code) == f"True\npandas is left out of tagmill's processes\n[0, 1, 2] False\n{here}\n"


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no batch scheduling")
def test_batch_scheduling_replaces_only_the_default() -> None:
    code = "import os; use_batch_scheduling(); print(os.sched_getscheduler(0))"
    assert int(said(code)) == (
        os.SCHED_BATCH if os.sched_getscheduler(0) == os.SCHED_OTHER else os.sched_getscheduler(0)
    )
    chosen = f"import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); {code}"
    assert int(said(chosen)) == os.SCHED_IDLE


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc's")  # type: ignore[operator]
def test_memory_is_kept_for_the_next_body() -> None:
    """Page faults of bodies that come one after the other, for which the kernel would otherwise have to map each page again."""
    code = """
import resource
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        some = [bytes(300_000) for _ in range(4)]
        del some
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
    kept, given_back = (
        int(said(f"{code}keep_memory(); faults(); print(faults())")),
        int(said(f"{code}faults(); print(faults())")),
    )
    assert kept < 2000 and kept <= given_back  # 200 x 4 bodies have 58,600 pages
