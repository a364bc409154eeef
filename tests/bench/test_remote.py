"""Tests remote stores: the requested faults, and the requests that a run is charged with."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tagmill.bench import measure, remote, workers
from tagmill.bench.workers import US, Case, Peer


@dataclass
class Seen:
    """A request as the proxy reports it."""

    size: int
    fault: str = ""


@dataclass
class Proxy:
    requests: list[Seen] = field(default_factory=list)

    def forget(self) -> None:
        self.requests.clear()


def test_one_request_in_a_hundred_fails() -> None:
    assert sum(remote.FAILING.values()) == pytest.approx(0.01)
    assert remote.PEERS_AT in remote.PLACES and remote.DISK not in remote.PLACES


def test_a_run_is_charged_with_its_own_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxy, asked = Proxy([Seen(1 << 30, "of an earlier run")]), []

    def measured(case: Case, data: str, flags: list[str], extra: dict[str, str] | None = None) -> None:
        asked.append((data, flags, extra))
        proxy.requests += [Seen(100), Seen(0, "busy"), Seen(50, "short")]
        run: dict[str, Any] = {"images_per_second": 1.0}
        case.runs.append(run)

    monkeypatch.setattr(remote, "measured", measured)
    ours, other = Peer(US, "a.py", "corpus"), Peer("other", "b.py", "mds")
    for case in (Case(ours, "uint8", remote.DISK), Case(ours, "uint8", "S3"), Case(other, "uint8", "S3")):
        remote.one(case, tmp_path, proxy, {"AWS_ENDPOINT_URL": "there"}, ["--warm", "2"])
        if case.place == "S3":
            counts = {key: case.runs[0][key] for key in ("requests", "answered_bytes", "failed_requests")}
            assert counts == {"requests": 3, "answered_bytes": 150, "failed_requests": 2}
    assert [data for data, _, _ in asked] == [str(tmp_path / "corpus"), "s3://bench/corpus", "s3://bench/mds"]
    assert "--folder" in asked[2][1] and "--folder" not in asked[1][1] and asked[0][2] is None


def test_a_benchmark_finds_the_service_from_its_own_folder(tmp_path: Path) -> None:
    """The checkout is not on the path of a program that is started by its file name."""
    code = "from tagmill.bench import remote; print(remote.fixture('objectstore').__name__)"
    given = {**workers.environment(), "PYTHONPATH": str(measure.ROOT / "python")}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=given)
    assert ended.stdout.strip() == "tests.shards.objectstore", ended.stderr


def test_a_missing_fixture_ends_the_run() -> None:
    assert remote.fixture("objectstore").ObjectStore("http://there").environment["AWS_ENDPOINT_URL"] == "http://there"
    with pytest.raises(SystemExit, match="is missing"):
        remote.fixture("no_such_fixture")
