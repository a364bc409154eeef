"""What an ingest asks of a bucket, counted before the server: no object of a part is asked for twice in one stage."""

import dataclasses
import time
from pathlib import Path

import pytest

from tagmill.bench.bucket import Stage, by_stage
from tagmill.ingest import ingest
from tagmill.shards.progress.protocol import Silent
from tests.ingest.smallweb import config, listing, web
from tests.shards.faults import FaultyProxy, faulty
from tests.shards.objectstore import ObjectStore

__all__ = ["listing", "web"]  # fixtures


class Marks(Silent):
    """Notes how many requests there were before each stage."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy = proxy
        self.marks = [("begin", 0, time.perf_counter())]

    def stage(self, name: str, total: int | None = None) -> None:
        self.marks.append((name, len(self._proxy.requests), time.perf_counter()))


def counted(
    service: ObjectStore, bucket: str, listing: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Stage], int]:
    """Ingests the small web; returns what each stage asked for, and the number of parts."""
    with faulty(service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        marks = Marks(proxy)
        ingest(dataclasses.replace(config(listing, Path("corpus")), output=f"{bucket}/corpus"), marks)
        marks.stage("end")
        requests = list(proxy.requests)
    found = by_stage(requests, marks.marks, f"{bucket.removeprefix('s3:/')}/corpus")
    return found, found["partition"].names["PUT parts/N/rows.parquet"]


@pytest.mark.usefixtures("never_late")
@pytest.mark.slow
def test_each_object_of_a_part_is_asked_for_once(
    s3_service: ObjectStore, s3_bucket: str, listing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages, parts = counted(s3_service, s3_bucket, listing, monkeypatch)
    assert parts == 8
    hosts, robots, fetch = (stages[name].names for name in ("hosts", "robots", "fetch"))
    assert (hosts["GET parts/N/rows.parquet"], hosts["HEAD parts/N/rows.parquet"]) == (parts, 0)
    for asked in (hosts, robots):
        origins = {name: count for name, count in asked.items() if "robots/origins/N" in name and "PUT" not in name}
        assert origins == {"GET parts/robots/origins/N.parquet": parts}
    assert (fetch["GET parts/robots/rules/N.parquet"], fetch["HEAD parts/robots/rules/N.parquet"]) == (parts, 0)
    assert (fetch["GET parts/N/rows.parquet"], fetch["HEAD parts/N/rows.parquet"]) == (parts, 0)
    for name, stage in stages.items():
        for pin in ("takedown.json", "blocklist.txt"):
            assert stage.names[f"HEAD parts/{pin}"] == 0, name
    label = {name: count for name, count in stages["label"].names.items() if "rejects/N" in name}
    assert set(label) == {"GET rejects/N.parquet"}
