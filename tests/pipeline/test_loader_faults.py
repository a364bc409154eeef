"""Tests the loader with a real, faulty S3 service: nothing lost, nothing twice, no hang, and the traffic of the
forecast."""

import itertools
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagmill.pipeline import Batch, Loader, LoaderConfig, World
from tagmill.pipeline.forecast.plan_command import Forecast, forecast
from tagmill.shards import Corpus, IntegrityError, Store, StoreError, TagmillError
from tagmill.shards.storage.store import Retries
from tagmill.shards.view import ONE
from tests.pipeline.corpora import Made, make_corpus
from tests.shards.faults import Faults, FaultyProxy, faulty
from tests.shards.objectstore import ObjectStore
from tests.warm.python import warm_python

CONFIG = LoaderConfig(
    batch_size=20, streams=4, window=2, chunk=10, size=16, threads=1, readers=4, epochs=1, backend="cpu", seed=2
)


class BadDay(Faults):
    """A tenth of the requests meet a fault, each kind in its turn."""

    def __init__(self) -> None:
        super().__init__(latency=0.002, once=True)
        object.__setattr__(self, "_kinds", itertools.cycle(("busy", "reset", "short", "stall")))
        object.__setattr__(self, "_drawn", itertools.count(1))

    def draw(self, generator: object) -> str:
        return "" if next(self._drawn) % 10 else next(self._kinds)


def make(folder: Path, facts: bool) -> Made:
    repeats = np.where(np.arange(240) % 5 == 0, ONE + ONE // 2, ONE)
    return make_corpus(folder, [100, 60, 80], repeats=repeats, facts=facts)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("faults"), facts=True)


@pytest.fixture(scope="module")
def made_earlier(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The same corpus with the view of an earlier version, without facts."""
    return make(tmp_path_factory.mktemp("earlier"), facts=False)


@pytest.fixture
def proxy(s3_service: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def url(made: Made, s3_bucket: str, proxy: FaultyProxy) -> str:
    """Puts the corpus into a bucket, seen through the proxy."""
    return upload(made, f"{s3_bucket}/corpus")


def upload(made: Made, url: str) -> str:
    here, there = Store(made.url), Store(url)
    for name in here.names(""):
        if not name.startswith("spool"):
            there.put(name, here.read(name))
    return url


def opened(url: str, tries: int = 8) -> Corpus:
    """Opens it with short backoffs."""
    corpus = Corpus.open(url)
    return replace(corpus, store=Store(url, Retries(tries=tries, first=0.001)))


def numbers(made: Made, batches: list[Batch]) -> list[int]:
    assert all(batch.valid[: batch.count].all() for batch in batches), "a hole"
    return [made.number_of(batch.keys[row].tobytes()) for batch in batches for row in range(batch.count)]


def counted(found: list[int]) -> list[int]:
    return np.bincount(found, minlength=240).tolist()


def same(one: Batch, other: Batch) -> bool:
    return bool(np.array_equal(one.keys, other.keys) and one.images.equal(other.images)) and bool(
        one.labels.ids.equal(other.labels.ids)
    )


def test_nothing_is_lost_with_a_faulty_store(made: Made, url: str, proxy: FaultyProxy) -> None:
    with Loader(made.open(), CONFIG) as local:
        wanted = list(local)
    with Loader(opened(url), CONFIG) as loader:
        proxy.faults = BadDay()
        found, most = [], 0
        for batch in loader:
            assert loader._engine.run is not None
            most = max(most, loader._engine.run._source._prefetcher.num_open)
            found.append(batch)
        seen = loader.meters.as_dict()
    assert counted(numbers(made, found)) == made.copies(0).tolist()
    assert all(same(one, other) for one, other in zip(found, wanted, strict=True))
    assert 4 * 2 * 10 < most <= 4 * 2 * 10 + 4 * 10, "T x w x C, and a chunk for each reader"
    assert sum(proxy.counts()[fault] for fault in ("busy", "reset", "short", "stall")) >= 5
    assert seen["holes"] == {} and seen["store"].get("retries", 0) + seen["store"].get("hedges", 0) >= 5
    assert "retries" in loader.report()


def test_an_answer_altered_on_its_way_is_no_hole(made: Made, url: str, proxy: FaultyProxy) -> None:
    class EveryThird(Faults):
        """With one reader, so that the repeated read comes next and succeeds."""

        drawn = itertools.count()

        def draw(self, generator: object) -> str:
            return "" if next(self.drawn) % 3 else "altered"

    with Loader(opened(url), replace(CONFIG, readers=1)) as loader:
        proxy.faults, proxy.only = EveryThird(), ".tar"
        assert counted(numbers(made, list(loader))) == made.copies(0).tolist()
    assert proxy.counts()["altered"] >= 5


@pytest.mark.parametrize(("view", "facts"), [("default", True), ("default", False), (None, False)])
def test_an_undisturbed_epoch_makes_the_requests_of_the_forecast(
    made: Made, made_earlier: Made, s3_bucket: str, proxy: FaultyProxy, never_late: None, view: str | None, facts: bool
) -> None:
    """Within 15 %: a forecast samples the chunks, and this epoch has only 30 of them."""
    url = upload(made if facts else made_earlier, f"{s3_bucket}/corpus")
    order = {"streams": 1, "window": 1, "chunk": 10, "batch_size": 20, "view": view}
    needs = forecast(Forecast(corpus=url, images_per_second=1.0, **order))  # type: ignore[arg-type]
    with Loader(url, replace(CONFIG, **order)) as loader:
        proxy.forget()
        assert sum(batch.count for batch in loader) == needs.samples
    asked = [request for request in proxy.requests if request.path.endswith((".tar", ".npy"))]
    assert {request.method for request in asked} == {"GET"}, "no request at first touch but those for bytes"
    assert len(asked) == pytest.approx(needs.requests_per_second * needs.samples, rel=0.15)
    beside = sum(request.size for request in asked if request.path.endswith(".npy"))
    whole = sum(request.size for request in asked)
    assert whole - beside == pytest.approx(needs.bytes_per_second * needs.samples, rel=0.15)
    # These images have 1 kB, photographs 20.
    assert beside < 0.06 * whole


@pytest.mark.parametrize("view", ["default", None])
def test_a_chunk_takes_two_requests(
    tmp_path: Path, s3_bucket: str, proxy: FaultyProxy, never_late: None, view: str | None
) -> None:
    """One for its facts and one for its images, also where the view leaves samples out; four without facts."""
    requests = {}
    for facts in (True, False):
        made = make_corpus(tmp_path / str(facts), [30, 60], repeats=np.where(np.arange(90) % 3, ONE, 0), facts=facts)
        url = upload(made, f"{s3_bucket}/{facts}")
        config = replace(CONFIG, streams=3, window=1, batch_size=30, view=view)
        with Loader(url, config) as loader:
            proxy.forget()
            found = sum(batch.count for batch in loader)
        assert found % CONFIG.chunk == 0
        asked = [request for request in proxy.requests if request.path.endswith((".tar", ".npy"))]
        requests[facts] = len(asked) / (found / CONFIG.chunk)
    assert requests == {True: 2, False: 4 if view else 2}


def test_a_nodes_cache_serves_the_next_epoch(made: Made, url: str, proxy: FaultyProxy, tmp_path: Path) -> None:
    config = replace(CONFIG, cache=str(tmp_path / "cache"), epochs=1, view=None)
    for _ in range(2):
        proxy.forget()
        with Loader(url, config) as loader:
            assert sorted(numbers(made, list(loader))) == list(range(240))
            said = loader.report()
    assert [request.path for request in proxy.requests if "/shards/" in request.path] == []
    assert "100% from the node's cache" in said
    with Loader(url, replace(CONFIG, cache=config.cache)) as labelled, Loader(made.open(), CONFIG) as local:
        assert all(same(one, other) for one, other in zip(labelled, local, strict=True))


@pytest.mark.parametrize("view", ["default", None])
def test_a_nodes_cache_of_facts_leaves_images_out(
    made: Made, url: str, proxy: FaultyProxy, tmp_path: Path, never_late: None, view: str | None
) -> None:
    config = replace(CONFIG, cache=str(tmp_path / "cache"), cache_what="facts", view=view, batch_size=30)
    asked = []
    for _ in range(2):
        with Loader(url, config) as loader:
            proxy.forget()
            found = numbers(made, list(loader))
        paths = [request.path for request in proxy.requests]
        asked.append([sum(path.endswith(end) for path in paths) for end in (".npy", ".tar")])
    assert sorted(found) == (list(range(240)) if view is None else sorted(np.repeat(np.arange(240), made.copies(0))))
    assert asked[0][0] > 0 and asked[1][0] == 0 and asked[1][1] == asked[0][1] > 0
    kept = sum(path.stat().st_blocks * 512 for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept < 0.5 * sum(map(len, made.jpegs))


def test_the_ranks_of_a_machine_share_the_small_objects_of_a_corpus(
    made: Made, url: str, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """The first asks for all, the second for the one that changes."""
    config = replace(CONFIG, plan_cache=str(tmp_path / "tables"), batch_size=4)
    asked = []
    for rank in range(2):
        proxy.forget()
        with Loader(url, config, World(rank, 2)) as loader:
            assert loader.num_classes > 0
        asked.append([request.path.rpartition("/")[2] for request in proxy.requests])
    assert set(asked[0]) >= {"corpus.json", "view.json", "vocabulary.json"}
    assert "view.json" not in asked[1] and "vocabulary.json" not in asked[1] and "corpus.json" in asked[1]


def test_wrong_keys_raise_an_error_at_once(url: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(url, CONFIG)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    proxy.forget()
    with pytest.raises(StoreError, match=r"refuses.*credentials"):
        Loader(url, CONFIG)
    assert len(proxy.requests) == 1
    with loader, pytest.raises(StoreError, match=r"refuses.*credentials"):
        list(loader)


def test_a_store_that_goes_down_stops_the_run_and_the_rest_comes_later(
    made: Made, url: str, proxy: FaultyProxy
) -> None:
    found: list[Batch] = []
    with Loader(opened(url, tries=3), CONFIG) as loader:
        with pytest.raises(StoreError, match=r"failed 3 times.*SlowDown.*run again"):
            for batch in loader:
                found.append(batch)
                proxy.faults = Faults(busy=1.0)
        assert 1 <= len(found) < loader.batches_per_epoch
        proxy.faults = Faults()
        found += list(loader)
    assert counted(numbers(made, found)) == made.copies(0).tolist()


@pytest.mark.parametrize(
    "kind", ["missing", "cut between members", "longer index", "labels of another shard", "facts of another shard"]
)
def test_a_shard_that_differs_from_the_manifest_stops_the_run(
    made: Made, made_earlier: Made, s3_bucket: str, proxy: FaultyProxy, kind: str
) -> None:
    made = made_earlier if kind in ("longer index", "labels of another shard") else made
    url = upload(made, f"{s3_bucket}/corpus")
    store = Store(url)
    of_view = "000001.facts.npy" if kind.startswith("facts") else "000001.labels.npy"
    view = made.view_file(of_view).relative_to(made.url).as_posix()
    if kind == "missing":
        store.delete("shards/000001.tar")
    elif kind == "cut between members":
        with Loader(made.open(), CONFIG) as loader:
            offset = int(np.load(made.file(1, ".npy"))["offset"][40]) - 512
            assert len(loader.corpus.entries) == 3
        store.put("shards/000001.tar", store.read("shards/000001.tar")[:offset])
    elif kind == "longer index":
        store.put("shards/000001.npy", store.read("shards/000002.npy"))
    else:
        store.put(view, store.read(view.replace("000001", "000002")))
    with Loader(url, CONFIG) as loader, pytest.raises(IntegrityError, match="000001") as caught:
        list(loader)
    assert caught.value.remedy


@pytest.mark.parametrize("facts", [True, False])
def test_offsets_that_disagree_with_their_tar_exceed_the_failure_budget(
    made: Made, made_earlier: Made, s3_bucket: str, proxy: FaultyProxy, facts: bool
) -> None:
    made = made if facts else made_earlier
    url = upload(made, f"{s3_bucket}/corpus")
    path = made.view_file("000000.facts.npy") if facts else made.file(0, ".npy")
    store, name, index = Store(url), path.relative_to(made.url).as_posix(), np.load(path)
    index["offset"] = np.roll(index["offset"], 1)
    data = store.read(name)
    store.put(name, data[: len(data) - index.nbytes] + index.tobytes())
    with Loader(url, CONFIG) as loader, pytest.raises(TagmillError, match=r"holes.*altered.*lint"):
        list(loader)


def test_a_corpus_that_changed_under_a_saved_state_is_refused_by_name(made: Made, url: str, tmp_path: Path) -> None:
    with Loader(url, CONFIG) as loader:
        next(iter(loader))
        state = loader.state_dict()
    upload(make_corpus(tmp_path, [100, 60, 81]), url)
    with Loader(url, CONFIG) as loader, pytest.raises(TagmillError, match="manifest is"):
        loader.load_state_dict(state)


RANK = """
import sys
from tagmill.pipeline import Loader, LoaderConfig, World
config = LoaderConfig(batch_size=20, streams=4, window=2, chunk=10, size=16, threads=1, epochs=1, backend="cpu",
                      seed=2, cache=sys.argv[2])
for batch in Loader(sys.argv[1], config, World(int(sys.argv[3]), 2)):
    print(*(key.tobytes().hex() for key in batch.keys[: batch.count]), flush=True)
    if sys.argv[4] == "wait":
        sys.stdin.readline()
"""


def test_a_rank_that_dies_does_not_affect_others(made: Made, url: str, proxy: FaultyProxy, tmp_path: Path) -> None:
    """It is killed while it fills the shared cache; the other finishes, and so does its replacement."""

    def start(rank: int, manner: str) -> subprocess.Popen[str]:
        command = [warm_python(), "-c", RANK, url, str(tmp_path / "cache"), str(rank), manner]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, **pipes)

    dying, living = start(0, "wait"), start(1, "go on")
    assert dying.stdout is not None
    first = dying.stdout.readline()
    dying.kill()
    dying.communicate(timeout=60)
    again = start(0, "go on")
    found = []
    for process in (living, again):
        said, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
        found += said.splitlines()
    assert first.strip() in found
    keys = [made.number_of(bytes.fromhex(key)) for line in found for key in line.split()]
    assert counted(keys) == made.copies(0).tolist()
