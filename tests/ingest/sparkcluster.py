"""A standalone Spark cluster of real processes on loopback: a master and workers that Spark takes for different hosts."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def standalone(folder: Path, hosts: int) -> Iterator[str]:
    """The address of the master; the workers, with a core each, are at 127.0.0.2 and so on."""
    import pyspark

    home = Path(pyspark.__file__).parent
    python_path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "SPARK_HOME": str(home), "PYTHONPATH": python_path, "PYSPARK_PYTHON": sys.executable}
    master = f"spark://127.0.0.1:{_free_port()}"
    deploy, ui = "org.apache.spark.deploy", ["--webui-port", str(_free_port())]
    commands = [["master.Master", "--host", "127.0.0.1", "--port", master.rpartition(":")[2], *ui]]
    for number in range(hosts):
        host = f"127.0.0.{2 + number}"
        work = ["--work-dir", str(folder / host), "--webui-port", str(_free_port())]
        commands.append(["worker.Worker", "--host", host, "--cores", "1", "--memory", "700m", *work, master])
    running = []
    try:
        for number, (name, *arguments) in enumerate(commands):
            log = (folder / f"{number}.log").open("wb")
            command = [str(home / "bin" / "spark-class"), f"{deploy}.{name}", *arguments]
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))
        deadline = time.monotonic() + 240
        while len(re.findall("Registering worker", (folder / "0.log").read_text())) < hosts:
            assert time.monotonic() < deadline, (folder / "0.log").read_text()[-3000:]
            assert all(process.poll() is None for process in running)
            time.sleep(0.2)
        yield master
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
