"""Tests hf:// against a stand-in for the Hub: ranges behind redirects, pages of listings, retries, and that it only reads."""

import re
import sys
from collections.abc import Callable

import pytest

from tagmill.shards import Store
from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage import retry
from tagmill.shards.storage.retry import Retries
from tests.shards.faults import Faults, faulty
from tests.shards.hub_server import HubServer

CONTENT = bytes(range(256)) * 5
QUICK = Retries(tries=4, first=0.001)
URL = "hf://datasets/owner/name"


@pytest.fixture
def store(hub: HubServer) -> Store:
    files = {"a": CONTENT, "small": b"0123456789", "empty": b"", "deep/er/ü b.bin": b"b" * 500, "deep/c": b"c"}
    hub.files["datasets/owner/name", "main"] = files
    return Store(URL, QUICK)


def paths(hub: HubServer) -> list[str]:
    """Returns where each request went since the last call: 'hub' or 'content', and its method."""
    found = [f"{place} {method}" for place, method, _ in hub.asked]
    hub.asked.clear()
    return found


@pytest.mark.parametrize("ranges", [True, False], ids=["small files have ranges", "small files come whole"])
def test_objects_are_read(store: Store, hub: HubServer, ranges: bool) -> None:
    hub.ranges = ranges
    for name, content in hub.files["datasets/owner/name", "main"].items():
        assert store.read(name) == content
        assert store.size(name) == len(content) and store.exists(name)
    assert store.read_range("a", 17, 900, len(CONTENT)) == CONTENT[17:900]
    assert store.read_range("small", 2, 5, 10) == b"234"
    assert store.read_ranges("a", [(0, 3), (9, 12)]) == [CONTENT[0:3], CONTENT[9:12]]
    with store.open("a") as file:
        assert file.seek(-5, 2) == len(CONTENT) - 5 and file.read() == CONTENT[-5:]
    for start, stop in [(0, 1281), (1280, 1281), (5000, 5010)]:
        with pytest.raises(IntegrityError, match="bytes"):
            store.read_range("a", start, stop)


def test_a_range_is_one_request_and_where_it_is_sent_to(store: Store, hub: HubServer) -> None:
    assert store.read_range("a", 2, 5, len(CONTENT)) == CONTENT[2:5]
    assert paths(hub) == ["hub GET", "content GET"], "no listing, and the length came with the answer"
    assert store.read_range("small", 2, 5, 10) == b"234"
    assert paths(hub) == ["hub GET"]
    with pytest.raises(IntegrityError, match="1280 bytes, 7 expected"):
        store.read_range("a", 2, 5, 7)


def test_listings_have_pages(store: Store, hub: HubServer) -> None:
    hub.page = 2
    assert store.names("") == ["a", "deep/c", "deep/er/ü b.bin", "empty", "small"]
    assert paths(hub) == ["hub GET"] * 4, "seven entries: two are folders"
    assert store.names("deep") == ["deep/c", "deep/er/ü b.bin"] and store.names("none") == store.names("a") == []
    assert dict(store.listing("deep/er")) == {"deep/er/ü b.bin": 500}


def test_missing_objects_are_missing(store: Store, hub: HubServer) -> None:
    for name in ("b", "deep", "deep/er/x", "a/x"):
        assert not store.exists(name)
        with pytest.raises(FileNotFoundError):
            store.read_range(name, 0, 1)
    assert paths(hub) == ["hub GET"] * 8, "what is missing is asked for once"


def test_a_revision_is_part_of_the_address(store: Store, hub: HubServer) -> None:
    hub.files["datasets/owner/name", "refs/convert/parquet"] = {"a": b"converted"}
    hub.files["datasets/owner/name", "v1"] = {"a": b"first"}
    hub.files["owner/model", "main"] = {"a": b"of a model"}
    assert Store(f"{URL}@refs/convert/parquet").read("a") == b"converted"
    assert Store(f"{URL}@refs%2Fconvert%2Fparquet").names("") == ["a"]
    assert Store(f"{URL}@v1").read("a") == b"first" and store.read("a") == CONTENT
    assert Store("hf://owner/model").read("a") == b"of a model"
    assert not Store(f"{URL}@v2", QUICK).exists("a")


def test_a_token_goes_to_the_hub_only(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_ours"
    with pytest.raises(StoreError, match=r"the store refuses: .*401.*check the credentials") as caught:
        store.read("a")
    assert "\n" not in str(caught.value) and len(paths(hub)) == 1
    monkeypatch.setenv("HF_TOKEN", "hf_ours")
    assert store.read("a") == CONTENT and store.read_range("a", 1, 3) == CONTENT[1:3]
    assert hub.leaked == []


def test_a_repository_that_is_private_or_not_there_gives_one_line(hub: HubServer) -> None:
    with pytest.raises(StoreError, match=r"refuses: 401 .*Repository Not Found") as caught:
        Store("hf://datasets/owner/none", QUICK).read("a")
    assert "\n" not in str(caught.value) and len(paths(hub)) == 1


@pytest.mark.parametrize("trouble", ["busy", "reset", "short"])
@pytest.mark.parametrize("place", ["hub", "content"])
def test_faults_are_retried_by_the_store_only(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch, trouble: str, place: str
) -> None:
    with faulty(hub.url if place == "hub" else hub.content_url) as proxy:
        if place == "hub":
            monkeypatch.setenv("HF_ENDPOINT", proxy.endpoint)
        else:
            hub.content_url = proxy.endpoint
        proxy.faults = Faults(**{trouble: 0.3}, seed=3)
        patient = Store(URL, Retries(tries=12, first=0.001))
        for start in range(20):
            assert patient.read_range("a", start, start + 900, len(CONTENT)) == CONTENT[start : start + 900]
            assert len(patient.names("deep")) == 2
        seen = proxy.counts()
        assert seen[trouble] >= 3
        proxy.faults = Faults(busy=1.0)
        proxy.forget()
        with pytest.raises(StoreError, match=r"failed 4 times, last: .*503.*run again") as caught:
            store.read_range("a", 0, 4)
        assert len(proxy.requests) == 4, "the library repeats nothing"
        assert "\n" not in str(caught.value)


def test_a_wait_that_the_hub_asks_for_is_kept(store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(retry, "pause", lambda seconds=0.0: waited.append(seconds))
    with faulty(hub.url, Faults(limited=1.0, retry_after="20")) as proxy:
        monkeypatch.setenv("HF_ENDPOINT", proxy.endpoint)
        with pytest.raises(StoreError, match=r"failed 4 times, last: .*429") as caught:
            store.read("a")
        assert len(proxy.requests) == 4 and "\n" not in str(caught.value)
    assert [20 <= seconds <= 25 for seconds in waited if seconds] == [True] * 3


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put("new", b"x"),
        lambda store: store.put_new("new", b"x"),
        lambda store: store.exchange("a", CONTENT, b"x"),
        lambda store: store.delete("a"),
    ],
    ids=["put", "put_new", "exchange", "delete"],
)
def test_writing_is_refused_before_anything_is_sent(
    store: Store, hub: HubServer, write: Callable[[Store], object]
) -> None:
    with pytest.raises(StoreError, match=r"hf:// is for reading only.*hf upload") as caught:
        write(store)
    assert hub.asked == [] and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["hf://", "hf://datasets/owner", "hf://datasets", "hf://buckets/owner/name"])
def test_an_address_without_a_repository_is_refused(hub: HubServer, url: str) -> None:
    with pytest.raises(StoreError, match=r"hf://datasets/OWNER/NAME") as caught:
        Store(url).names("")
    assert hub.asked == [] and "\n" not in str(caught.value)


def test_a_library_that_is_offline_is_no_failure_to_retry(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StoreError, match="HF_HUB_OFFLINE"):
        store.read("a")
    assert hub.asked == []


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    with pytest.raises(StoreError, match=re.escape("pip install 'tagmill[hf]'")):
        Store(URL + "/other").read("a")
