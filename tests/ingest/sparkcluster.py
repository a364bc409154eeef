"""A standalone Spark cluster on loopback: executors are processes on workers that Spark takes for different hosts.

The master and the workers live in this process's Java, beside the driver: a Java of its own for each took CPU seconds.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def standalone(folder: Path, hosts: int, settings: Mapping[str, str]) -> Iterator[str]:
    """The address of the master; the workers, with a core each, are at 127.0.0.2 and so on.

    Sessions that begin here meanwhile have the settings, as from a spark-defaults.conf.
    """
    from pyspark import SparkContext

    SparkContext._ensure_initialized()
    jvm: Any = SparkContext._jvm
    conf = jvm.org.apache.spark.SparkConf(False).set("spark.local.dir", str(folder))
    with ExitStack() as started:
        deploy, nothing = jvm.org.apache.spark.deploy, jvm.scala.Option.empty()
        master = deploy.master.Master.startRpcEnvAndEndpoint("127.0.0.1", 0, 0, conf)._1()
        started.callback(_shut_down, master)
        url = str(master.address().toSparkURL())
        masters = SparkContext._gateway.new_array(jvm.java.lang.String, 1)
        masters[0] = url
        for number in range(hosts):
            host, work = f"127.0.0.{2 + number}", str(folder / f"work-{number}")
            told = (host, 0, 0, 1, 700, masters, work, nothing, conf, nothing)
            started.callback(_shut_down, deploy.worker.Worker.startRpcEnvAndEndpoint(*told))
        python_path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with _defaults(jvm, {"spark.executorEnv.PYTHONPATH": python_path, **settings}):
            yield url


def _shut_down(environment: Any) -> None:
    environment.shutdown()
    environment.awaitTermination()


@contextmanager
def _defaults(jvm: Any, settings: Mapping[str, str]) -> Iterator[None]:
    """Java's properties are where spark-submit puts what it reads from a spark-defaults.conf."""
    system = jvm.java.lang.System
    before = {name: system.getProperty(name) for name in settings}
    for name, value in settings.items():
        system.setProperty(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                system.clearProperty(name)
            else:
                system.setProperty(name, value)
