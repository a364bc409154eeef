"""kill -9 at random moments of a whole run, with its workers and decoders: what it ends with is byte for byte the same."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tagmill.ingest.layout import CLOSING_MARKER
from tests.ingest.forked import ForkedRuns
from tests.ingest.smallweb import config, listing, web
from tests.ingest.test_run import digests

__all__ = ["listing", "web"]  # fixtures

KILLS = int(os.environ.get("TAGMILL_KILLS", "3"))  # 20 take two minutes of a quiet machine


class Run:
    """An ingest in a process group of its own, which has begun when this returns."""

    def __init__(self, runs: ForkedRuns, folder: Path, listing: str, output: Path) -> None:
        wanted = config(listing, output, processes=2, spool=str(folder / "spool"))
        self._process = runs.start("tests.ingest.deadly:announced", repr(wanted), folder=folder)
        assert self._process.stdout.readline() == b"begun\n"
        self.begun = time.monotonic()

    def ends_within(self, seconds: float | None) -> bool:
        """Whether it ended by itself, and well, before it was killed."""
        if not self._process.ends_within(seconds):
            self._process.kill()
        done = self._process.wait()
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode == 0


def is_finished(corpus: Path) -> bool:
    """Whether the run that was killed had nothing left to do: its mark goes last, so no object is left below `parts`."""
    done = (corpus / "corpus.json").exists() and not (corpus / CLOSING_MARKER).exists()
    if done:
        assert not [path for path in (corpus / "parts").rglob("*") if path.is_file()]
    return done


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(listing: str, tmp_path: Path, runs: ForkedRuns) -> None:
    undisturbed = Run(runs, tmp_path, listing, tmp_path / "undisturbed")
    assert undisturbed.ends_within(None)
    seconds = time.monotonic() - undisturbed.begun
    wanted = digests(tmp_path / "undisturbed")
    seed = random.randrange(1 << 30)
    print(f"seed {seed}, {seconds:.1f} s undisturbed")  # shown where the test fails
    draw, kills, corpora = random.Random(seed), 0, 1
    while kills < KILLS:
        ended = Run(runs, tmp_path, listing, tmp_path / f"corpus-{corpora}").ends_within(draw.uniform(0, seconds))
        kills += not ended
        if ended or is_finished(tmp_path / f"corpus-{corpora}"):
            assert digests(tmp_path / f"corpus-{corpora}") == wanted
            corpora += 1  # once more it would be refused: there is a corpus
    assert Run(runs, tmp_path, listing, tmp_path / f"corpus-{corpora}").ends_within(None)
    assert digests(tmp_path / f"corpus-{corpora}") == wanted
    assert not (tmp_path / f"corpus-{corpora}" / "parts").exists()
