"""What a run asks of a store, counted before the server: set work reads facts alone, and packing each image once."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest import IngestConfig, ingest
from tagmill.shards.manifest import Corpus
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.storage.store import Store
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.smallweb import picture
from tests.shards.faults import FaultyProxy, Request, faulty
from tests.shards.objectstore import ObjectStore

PARTS = 8
MAGIC = 4  # bytes at the begin of a Parquet file, which nobody reads
OF_PART = re.compile(r"parts/([0-9]{6})/([0-9a-f]{16})(\.facts)?\.parquet")
SPARK = pytest.param("spark", marks=[needs_spark, pytest.mark.slow, pytest.mark.timeout(900)])


class Stages(Silent):
    """Notes how many requests were made when each stage began."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy, self._begun = proxy, list[tuple[str, int]]()

    def stage(self, name: str, total: int | None = None) -> None:
        self._begun.append((name.partition(":")[0], len(self._proxy.requests)))

    def requests(self, stage: str) -> list[Request]:
        """Returns those that were answered during a stage, with all of its steps."""
        stops = [*(start for _, start in self._begun[1:]), len(self._proxy.requests)]
        found = [(start, stop) for (name, start), stop in zip(self._begun, stops, strict=True) if name == stage]
        return [each for start, stop in found for each in self._proxy.requests[start:stop]]


def read_of_parts(requests: list[Request], kind: str) -> dict[int, list[Request]]:
    """Returns the reads of the parts' files by part; `kind` is '.facts' or '' (with the images)."""
    found: dict[int, list[Request]] = {}
    for each in requests:
        match = OF_PART.search(each.path)
        if match and each.method != "PUT" and (match[3] or "") == kind:
            found.setdefault(int(match[1]), []).append(each)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures; some are there twice, and some are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(90):
        data = b"no picture" if number % 17 == 4 else picture(number - number % 6 // 5)
        (folder / f"{number:03d}.jpg").write_bytes(data)
    return folder


def config(folder: Path, output: str, **changes: Any) -> IngestConfig:
    small: dict[str, Any] = {"rows_per_part": 12, "parts_per_group": 2, "shard_samples": 10, "image_size": 32}
    return IngestConfig(input=(str(folder),), output=output, holdout=9, **{"processes": 2, **small, **changes})


@pytest.mark.usefixtures("never_late")
@pytest.mark.parametrize("engine", ["duckdb", SPARK])
def test_select_reads_facts_alone_and_pack_each_image_once(
    s3_service: ObjectStore, s3_bucket: str, folder: Path, tmp_path: Path, one_spark: OneSpark, engine: str
) -> None:
    if engine == "spark":
        one_spark.begin()
    output = f"{s3_bucket}/corpus"
    with faulty(s3_service.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        stages = Stages(proxy)
        ingest(config(folder, output, engine=engine, keep_parts=True), stages)
    store = Store(output)
    parts = [json.loads(store.read(f"parts/{part:06d}/done.json")) for part in range(PARTS)]
    select = stages.requests("select")
    assert not read_of_parts(select, "")
    facts = read_of_parts(select, ".facts")
    assert sorted(facts) == list(range(PARTS))
    for number, part in enumerate(parts):
        asked = facts[number]
        assert 1 <= len(asked) <= 2 and {each.method for each in asked} == {"GET"}
        assert all(each.size == part["facts_size"] for each in asked)
    assert len(select) <= 20 * PARTS
    pack = stages.requests("pack")
    assert not read_of_parts(pack, ".facts")
    images = read_of_parts(pack, "")
    for number, part in enumerate(parts):
        assert part["size"] - MAGIC <= sum(each.size for each in images[number]) <= 1.05 * part["size"]
    label = stages.requests("label")
    assert label and not read_of_parts(label, "") and not read_of_parts(label, ".facts")
    ingest(config(folder, str(tmp_path / "corpus")))
    here = Corpus.open(str(tmp_path / "corpus"))
    assert Counter(entry.split for entry in here.entries)["holdout"] == 1
    assert list(Corpus.open(output).entries) == list(here.entries)
