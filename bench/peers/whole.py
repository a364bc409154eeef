"""Arguments and output of programs that are measured as a whole: a list, an output folder, and the number of samples."""

import argparse
import importlib.metadata
import json
import os

from tagmill.bench import processes


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("list", help="Parquet with url, tags, caption")
    parser.add_argument("--output", required=True, help="an empty folder")
    parser.add_argument("--processes", type=int, required=True)
    return parser.parse_args()


def report(samples: int, tar_bytes: int, packages: tuple[str, ...]) -> None:
    """Prints the line that the benchmark parses: processor seconds are those of this process and of all below it, ended
    or not."""
    seconds = processes.cpu_seconds(os.getpid())
    versions = {package: importlib.metadata.version(package) for package in packages}
    print(json.dumps({"samples": samples, "tar_bytes": tar_bytes, "cpu_seconds": seconds, "versions": versions}))
