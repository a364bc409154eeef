"""The worker's side of the pipe: what it sends, when, and when it stops."""

from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from types import SimpleNamespace

import pytest

from tagmill.ingest.progress.host_times import FetchStats, HostLatency, HostTime
from tagmill.ingest.workers import worker
from tagmill.ingest.workers.worker import StoppedError, TaskError, TaskResult, WorkerReport, WorkerStatus, _answer


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    ours, theirs = Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def received(connection: Connection) -> list[WorkerStatus]:
    found = []
    while connection.poll():
        found.append(connection.recv())
    return found


def test_counts_are_sent_once_and_not_one_by_one(
    pipe: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SECONDS_BETWEEN_STATUS", 3600)
    report = WorkerReport(pipe[1])
    report.send()
    assert received(pipe[0]) == []
    for outcome, rows in (("ok", 3), ("bad", 2), ("ok", 1)):
        report(outcome, rows)
    assert received(pipe[0]) == []
    report.send()
    report.send()
    assert received(pipe[0]) == [WorkerStatus({"ok": 4, "bad": 2})]


def test_a_status_is_sent_when_the_last_one_is_old(
    pipe: tuple[Connection, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: now))
    report = WorkerReport(pipe[1])
    report("ok", 1)
    now += worker.SECONDS_BETWEEN_STATUS / 2
    report("ok", 2)
    now += worker.SECONDS_BETWEEN_STATUS / 2
    report("ok", 4)
    assert received(pipe[0]) == [WorkerStatus({"ok": 1}), WorkerStatus({"ok": 6})]


def test_what_was_fetched_is_sent_with_the_counts(pipe: tuple[Connection, Connection]) -> None:
    latency = HostLatency()
    report = WorkerReport(pipe[1]).with_fetched(latency)
    latency.note("a", 1.0, 10)
    latency.note("b", 5.0, 10)
    report.send()
    hosts = (HostTime("b", 5.0, 1), HostTime("a", 1.0, 1))
    assert received(pipe[0]) == [WorkerStatus({}, FetchStats(20, 6.0, hosts))]


def test_a_report_stops_the_work_once_the_pool_has_closed_the_pipe(pipe: tuple[Connection, Connection]) -> None:
    report = WorkerReport(pipe[1])
    pipe[0].close()
    with pytest.raises(StoppedError):
        report("ok", 1)


def double(number: int, report: WorkerReport) -> int:
    return 2 * number


def fail(number: int, report: WorkerReport) -> int:
    raise FileNotFoundError(2, "no such file", f"rows-{number}.parquet")


def unpicklable(number: int, report: WorkerReport) -> object:
    return lambda: number


def test_a_result_or_an_error_is_the_answer(pipe: tuple[Connection, Connection]) -> None:
    report = WorkerReport(pipe[1])

    def answer(request: object) -> object:
        return ForkingPickler.loads(_answer(bytes(ForkingPickler.dumps(request)), report))

    assert answer((double, 21)) == TaskResult(42)
    failed = answer((fail, 7))
    assert isinstance(failed, TaskError) and isinstance(failed.error, FileNotFoundError)
    assert failed.error.filename == "rows-7.parquet" and "in fail" in failed.error.__notes__[0]
    assert isinstance(answer((unpicklable, 1)), TaskError)
    gone = _answer(b"cno_module\nno_name\n.", report)
    assert isinstance(ForkingPickler.loads(gone).error, ModuleNotFoundError)
