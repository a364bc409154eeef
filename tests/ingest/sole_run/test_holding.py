"""Two real processes make one corpus: the second ends with a line, the first undisturbed."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Corpus
from tests.ingest.smallweb import config, listing, web
from tests.shards.objectstore import ObjectStore

__all__ = ["listing", "web"]  # fixtures

RUN = """
import sys
from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.progress.protocol import Silent

class Slow(Silent):
    def stage(self, name, total=None):
        if name == "pack":
            print("packs", flush=True)
            sys.stdin.readline()

if __name__ == "__main__":
    print(ingest(eval(sys.argv[1]), Slow()).samples["train"] > 0, flush=True)
"""


def of_one_part(listing: str, output: Path) -> IngestConfig:
    return config(listing, output, rows_per_part=1000)


@contextmanager
def packing(wanted: IngestConfig, script: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs an ingest that has selected, and waits for a line before it packs."""
    script.write_text(RUN)
    command = [sys.executable, str(script), repr(wanted)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert pipe(process.stdout).readline() == "packs\n"
            yield process
        finally:
            process.kill()


def pipe(end: IO[str] | None) -> IO[str]:
    assert end is not None
    return end


def second_run_ends_and_first_goes_on(wanted: IngestConfig, script: Path) -> None:
    with packing(wanted, script) as first:
        with pytest.raises(CorpusError, match="another run is at work in this output"):
            ingest(wanted)
        out, _ = first.communicate("go on\n")
        assert (out, first.returncode) == ("True\n", 0)
    assert Corpus.open(wanted.output).file.totals["samples"] > 0
    with pytest.raises(CorpusError, match="there is a corpus here already"):
        ingest(wanted)


def test_two_runs_in_a_folder(listing: str, tmp_path: Path) -> None:
    second_run_ends_and_first_goes_on(of_one_part(listing, tmp_path / "corpus"), tmp_path / "run.py")
    assert not (tmp_path / "corpus" / "parts").exists()


def test_two_runs_in_a_bucket(s3_service: ObjectStore, s3_bucket: str, listing: str, tmp_path: Path) -> None:
    wanted = dataclasses.replace(of_one_part(listing, tmp_path / "corpus"), output=f"{s3_bucket}/corpus")
    second_run_ends_and_first_goes_on(wanted, tmp_path / "run.py")
