"""The whole way into a bucket and out of it: ingest to S3, the loader from S3, the same bytes and batches as from a disk;
also where the store fails now and then, and where it dies in the middle of a stage."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tagmill.demo.serve import serve
from tagmill.demo.web import make_web, write_rows
from tagmill.ingest import IngestConfig, ingest
from tagmill.ingest.extend.base_corpus import clear
from tagmill.pipeline import Loader, LoaderConfig
from tagmill.shards import Corpus, Store
from tagmill.shards.errors import TagmillError
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.retry import Retries
from tests.shards.faults import Faults, FaultyProxy, faulty
from tests.shards.hub_server import HubServer
from tests.shards.objectstore import ObjectStore

pytestmark = pytest.mark.slow

ROWS = 200  # in four parts
DEAD = {"busy": Faults(busy=1.0), "reset": Faults(reset=1.0)}  # every request, from some moment on
# Of the first hundred requests at least two meet each fault: the draws depend on the seed alone.
BAD_DAY = Faults(busy=0.05, limited=0.05, retry_after="0", reset=0.05, short=0.05, once=True)
IMPATIENT = Retries(tries=3, first=0.01, most=0.02)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The list of a web that is served meanwhile."""
    folder = tmp_path_factory.mktemp("web")
    make_web(folder, seed=3, rows=ROWS, evaluation=20, processes=2)
    with serve(folder) as base_url:
        yield write_rows(folder, base_url)


@pytest.fixture(scope="module")
def here(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The corpus on a disk."""
    return built(rows, str(tmp_path_factory.mktemp("disk") / "corpus"))


def built(rows: Path | str, output: str, progress: Progress | None = None) -> Corpus:
    """A corpus of the demo's web in several parts, groups and shards."""
    ingest(
        IngestConfig(
            input=(str(rows),),
            output=output,
            allow_private=True,
            timeout=4.0,
            retries=0,
            image_size=64,
            holdout=ROWS // 10,
            min_count=3,
            rows_per_part=ROWS // 4,
            parts_per_group=2,
            shard_samples=ROWS // 6,
            processes=2,
        ),
        progress,
    )
    return Corpus.open(output)


def digests(url: str) -> dict[str, str]:
    store = Store(url)
    names = [name for name in store.names("") if not name.startswith(("ledger/", "report.json"))]
    return {name: hashlib.sha256(store.read(name)).hexdigest() for name in names}


@pytest.fixture(params=["s3", "azure", "gcs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """The URL of a bucket of each kind; of Google's a stand-in."""
    names = {"s3": "s3_bucket", "azure": "azure_container", "gcs": "gcs"}
    found = request.getfixturevalue(names[request.param])
    return found if isinstance(found, str) else "gs://bucket"


def test_a_bucket_holds_the_same_corpus_and_gives_the_same_batches(bucket: str, rows: Path, here: Corpus) -> None:
    there = built(rows, f"{bucket}/corpus")
    assert digests(there.store.url) == digests(here.store.url)
    check_batches(here, there)


def check_batches(here: Corpus, there: Corpus) -> None:
    """Checks two epochs of both."""
    config = LoaderConfig(batch_size=16, size=48, streams=4, window=2, chunk=4, epochs=2, seed=5)
    with Loader(here, config) as local, Loader(there, config) as remote:
        pairs = [pair for _ in range(2) for pair in zip(local, remote, strict=True)]
    assert len(pairs) == 2 * local.batches_per_epoch
    for mine, theirs in pairs:
        assert np.array_equal(mine.keys, theirs.keys)
        assert mine.images.equal(theirs.images) and mine.labels.ids.equal(theirs.labels.ids)


def test_the_hub_gives_lists_and_batches(hub: HubServer, rows: Path, here: Corpus, tmp_path: Path) -> None:
    hub.files["datasets/owner/lists", "main"] = {f"data/train{rows.suffix}": rows.read_bytes(), "README.md": b"# Lists"}
    found = built(f"hf://datasets/owner/lists/data/*{rows.suffix}", str(tmp_path / "corpus"))
    assert found.file.totals == here.file.totals
    files = {name: found.store.read(name) for name in found.store.names("")}
    hub.files["datasets/owner/corpus", "v1"] = files
    check_batches(found, Corpus.open("hf://datasets/owner/corpus@v1"))


def test_a_store_that_fails_now_and_then_holds_the_same_corpus(
    s3_service: ObjectStore, s3_bucket: str, rows: Path, here: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(s3_service.endpoint, BAD_DAY) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        there = built(rows, f"{s3_bucket}/corpus")
        counts = proxy.counts()
    assert min(counts[kind] for kind in ("busy", "limited", "reset", "short")) > 0, counts
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service.endpoint)
    assert digests(there.store.url) == digests(here.store.url)


@dataclass
class DiesIn(Silent):
    """Calls `die` in a stage, once `after` rows of it are done."""

    name: str
    after: int
    die: Callable[[], None]
    stages: list[str] = field(default_factory=list)
    done: int = 0
    dead: bool = False

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append(name)
        self.done = 0
        self._look()

    def advance(self, n: int, **counts: int) -> None:
        self.done += n
        self._look()

    def _look(self) -> None:
        if self.stages[-1] == self.name and self.done >= self.after and not self.dead:
            self.dead = True
            self.die()


class Death(NamedTuple):
    """A stage in which the store dies, once so many rows of it are done, and how."""

    stage: str
    after: int
    how: str
    only: str = ""  # part of the paths of the requests that it concerns


DEATHS = [
    Death("partition", 0, "refused"),
    Death("hosts", 0, "busy"),
    Death("robots", 0, "refused"),
    Death("fetch", ROWS // 2, "reset"),
    Death("select", 0, "reset"),
    Death("pack", ROWS // 2, "busy"),
    Death("label", 0, "reset", "report.json"),  # that is, in the commit
    Death("label", 0, "reset", "corpus.json"),
    Death("clear", 0, "refused"),
]
WHOLE = bool(os.environ.get("TAGMILL_WHOLE"))  # a run for each death, and not one that dies of all of them in turn


@pytest.mark.parametrize("deaths", [[death] for death in DEATHS] if WHOLE else [DEATHS])
def test_a_store_that_dies_is_one_line_and_the_run_goes_on_later(
    deaths: list[Death],
    s3_service: ObjectStore,
    s3_bucket: str,
    rows: Path,
    here: Corpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = f"{s3_bucket}/corpus"
    for death in deaths:
        with monkeypatch.context() as patch:
            line = line_of_death(death, s3_service, rows, output, patch)
        assert "\n" not in line and s3_bucket in line and "run again" in line, line
    there = built(rows, output)
    assert digests(there.store.url) == digests(here.store.url)


def line_of_death(death: Death, service: ObjectStore, rows: Path, output: str, patch: pytest.MonkeyPatch) -> str:
    """What a run says whose store dies."""
    patch.setattr("tagmill.ingest.run.Store", functools.partial(Store, retries=IMPATIENT))
    with ExitStack() as open_proxy:
        proxy: FaultyProxy = open_proxy.enter_context(faulty(service.endpoint))
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

        def die() -> None:
            if death.how == "refused":
                open_proxy.close()
            else:
                proxy.only, proxy.faults = death.only, DEAD[death.how]

        progress = DiesIn(death.stage, death.after, die)

        def clear_in_time(store: Store) -> None:
            if not progress.dead:
                progress.stage("clear")
            clear(store)

        patch.setattr("tagmill.ingest.commit.clear", clear_in_time)
        with pytest.raises(TagmillError) as failed:
            built(rows, output, progress)
    assert progress.dead and progress.stages[-1].partition(":")[0] == death.stage  # of "label: write", its first word
    return str(failed.value)
