"""Tests a loader as a process: its figures, or the reason why there are none; no process is left."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tagmill.bench import measure, processes, workers
from tagmill.bench.feed import FEEDS
from tagmill.bench.workers import Case, Peer, UnavailableError, environment, last_line, measured, peers, run_worker


def worker(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_figures_are_the_last_line_of_json() -> None:
    found = run_worker(worker("""print('hello'); print('{"images_per_second": 7.5}')"""), environment())
    assert found["images_per_second"] == 7.5 and found["peak_memory_bytes"] >= 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_peer", "No module named 'no_such_peer'"),
        ("raise SystemExit('a batch of (3,) is none')", "a batch of"),
        ("print('all is well')", "all is well"),
        ("import os; os.abort()", "no message"),
    ],
)
def test_a_worker_without_figures_reports_the_reason(code: str, reason: str) -> None:
    with pytest.raises(UnavailableError, match=reason):
        run_worker(worker(code), environment())


def test_a_worker_that_never_ends_is_killed_with_all_its_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1.0)
    mark = tmp_path / "pid"
    code = f"import subprocess, time; p = subprocess.Popen(['sleep', '60']); open({str(mark)!r}, 'w').write(str(p.pid))"
    with pytest.raises(UnavailableError, match="no end after"):
        run_worker(worker(f"{code}; time.sleep(60)"), environment())
    stat, end = Path(f"/proc/{mark.read_text()}/stat"), time.monotonic() + 30
    while (state := processes._read(stat).rpartition(")")[2].split()[:1]) not in ([], ["Z"]):  # a kill takes its time
        assert time.monotonic() < end, f"it lives: {state}"
        time.sleep(0.01)


def test_a_peer_that_cannot_be_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise subprocess.CalledProcessError(1, "pip", stderr="ERROR: no matching distribution\n")

    monkeypatch.setattr(measure, "peer", refuse)
    case = Case(Peer("some", "no.py", "images", "some", ("some",)), "uint8")
    measured(case, "nowhere", [])
    assert case.reason == "not installed: ERROR: no matching distribution" and not case.runs


def test_every_peer_has_its_file_and_a_unique_name() -> None:
    for each in (peers("auto"), FEEDS):
        assert len({peer.name for peer in each}) == len(each)
    known = [*peers("auto"), *FEEDS]
    assert all((workers.PEERS / peer.file).exists() for peer in known)
    unlisted = {path.name for path in workers.PEERS.glob("*.py")} - {peer.file for peer in known}
    of_ingest = {"whole.py", "tagmill_ingest.py", "img2dataset_download.py", "tagmill_bucket.py"}
    of_s3 = {"obstore_ranges.py", "streaming_feed.py", "litdata_feed.py"}
    of_slow = {"slow_decoder.py", "slow_dataset.py", "slow_loader.py"}
    shared = {"__init__.py", "stopwatch.py", "torch_pictures.py", "pretended.py", "exchange_reader.py"}
    assert unlisted == shared | of_ingest | of_s3 | of_slow


def test_the_last_non_empty_line() -> None:
    assert last_line("Traceback\n  ValueError: no\n\n") == "ValueError: no"
    assert last_line("\n") == "no message"
