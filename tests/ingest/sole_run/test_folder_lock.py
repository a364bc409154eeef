"""A folder is locked for one process at a time, and a killed process leaves no lock."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagmill.ingest.sole_run.folder_lock import locked_alone
from tagmill.shards.errors import CorpusError, StoreError

HOLD = """
import sys
from pathlib import Path
from tagmill.ingest.sole_run.folder_lock import locked_alone
with locked_alone(Path(sys.argv[1]), "there"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_until_the_first_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "corpus" / "parts"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(CorpusError, match=r"another run is at work in this output \(there\)"):
            locked_alone(folder, "there").__enter__()
        child.kill()
        child.wait()
    with locked_alone(folder, "there"):
        assert not list(folder.iterdir())


def test_a_folder_that_was_deleted_meanwhile_is_made_and_locked_again(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    with locked_alone(folder, "there"):
        shutil.rmtree(folder)
        with locked_alone(folder, "there"), pytest.raises(CorpusError, match="another run"):
            locked_alone(folder, "there").__enter__()


def test_a_place_that_cannot_be_written_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another output"):
        locked_alone(tmp_path / "file" / "parts", "there").__enter__()
