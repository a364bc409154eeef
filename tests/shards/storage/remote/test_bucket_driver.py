"""Tests the driver of buckets: keys that expire, faults of the network and of the service, and how each ends."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage import hedge
from tagmill.shards.storage import retry as retry_module
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.remote import bucket_driver, clients
from tagmill.shards.storage.remote.probe import WaitsAsked
from tagmill.shards.storage.remote.s3_credentials import aws_environment, key_ring
from tagmill.shards.storage.store import Retries, Store, retrying_filesystem
from tests.shards.azurite import AzureService
from tests.shards.faults import EXCESS, Faults, FaultyProxy, faulty
from tests.shards.gcs_server import GcsServer
from tests.shards.objectstore import ObjectStore
from tests.shards.silent import SilentWeb, silent

CONTENT = bytes(range(256)) * 5


# S3, with a service that refuses


@pytest.fixture
def expiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentWeb]:
    """Creates a bucket with an object `a`, and expired keys in ~/.aws/credentials."""
    for name, _ in aws_environment():
        monkeypatch.delenv(name)
    monkeypatch.setattr(hedge, "FIRST_SECONDS", 60.0)  # no answer is late, so the counts are known
    monkeypatch.setattr(hedge, "FLOOR_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "_OF_PROCESS", {})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a").write_bytes(CONTENT)
    write_keys("old")
    said = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
    with silent(tmp_path) as web:
        web.refuse = lambda headers: (400, said) if "Credential=old/" in (headers.get("Authorization") or "") else None
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        key_ring.cache_clear()
        yield web


def write_keys(name: str) -> None:
    path = Path("~/.aws/credentials").expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[default]\naws_access_key_id={name}\naws_secret_access_key=s\naws_session_token=t\n")


def test_s3_keys_renewed_in_their_file_are_used(expiring: SilentWeb) -> None:
    """For every kind of request: an answer to HEAD has no body with the reason of the refusal."""
    store = Store("s3://bucket", Retries(tries=3, first=0.001))
    with pytest.raises(StoreError, match=r"ExpiredToken.*renew the keys"):
        store.read("a")
    assert expiring.asked == 3, "another may be about to write them"
    write_keys("new")
    assert store.size("a") == len(CONTENT)
    assert expiring.asked == 5
    assert store.read_range("a", 1, 4) == CONTENT[1:4] and store.read("a") == CONTENT
    assert expiring.asked == 7, "and the old ones are not used again"


def test_s3_keys_renewed_during_retries_are_used(expiring: SilentWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "pause", lambda seconds=0.0: write_keys("new") if seconds else None)
    assert Store("s3://bucket").read("a") == CONTENT
    assert expiring.asked == 3, "once more with the old ones, which were not known to be renewed"


def test_s3_keys_of_the_environment_that_expire_are_refused_at_once(
    expiring: SilentWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(StoreError, match=r"refuses: .*ExpiredToken.*renew the keys") as caught:
        Store("s3://bucket").read("a")
    assert expiring.asked == 1 and "\n" not in str(caught.value)


def test_s3_without_keys_gives_a_one_line_error(expiring: SilentWeb) -> None:
    Path("~/.aws/credentials").expanduser().unlink()
    store = Store("s3://bucket")
    for call in (store.read, store.names, lambda _: retrying_filesystem("s3://bucket/*.csv")[0].glob("bucket/*.csv")):
        with pytest.raises(StoreError, match="there are no keys for S3") as caught:
            call("a")
        assert "\n" not in str(caught.value)
    assert expiring.asked == 0


# S3, with a proxy before a real service


@pytest.fixture
def proxy(s3_service: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def s3_store(s3_bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Sets up a bucket behind the proxy, with an object `a`. No answer is late, so the proxy's counts are known."""
    monkeypatch.setattr(hedge, "FIRST_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "FLOOR_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "_OF_PROCESS", {})
    monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked(lambda url: None))  # nor is it asked how long to wait
    store = Store(s3_bucket, Retries(tries=12, first=0.001))
    store.put("a", CONTENT)
    proxy.forget()
    return store


@pytest.mark.parametrize("trouble", ["busy", "reset", "short"])
def test_s3_faults_are_retried_by_the_store_only(s3_store: Store, proxy: FaultyProxy, trouble: str) -> None:
    proxy.faults = Faults(**{trouble: 0.4}, seed=3)
    before = STORE_COUNTERS.counts()
    for start in range(20):
        assert s3_store.read_range("a", start, start + 900, len(CONTENT)) == CONTENT[start : start + 900]
        assert s3_store.read("a") == CONTENT and s3_store.size("a") == len(CONTENT)
        s3_store.put(f"b/{start}", CONTENT)
    assert len(s3_store.names("b")) == 20
    s3_store.delete("a")
    proxy.faults = Faults()
    assert not s3_store.exists("a") and s3_store.read("b/19") == CONTENT
    asked, seen = (STORE_COUNTERS.counts() - before), proxy.counts()
    assert seen[trouble] >= 10
    tried_again = asked["retries"]
    harmless = sum(
        r.fault == "short" and r.method != "GET" for r in proxy.requests
    )  # its answer had nothing to truncate
    assert seen[trouble] - harmless <= tried_again <= seen[trouble]
    assert len(proxy.requests) == 84 + tried_again


def test_s3_changed_settings_are_refused_at_once(
    s3_store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: s3_store.read("a"),
        lambda: s3_store.read_range("a", 0, 4),
        lambda: s3_store.size("a"),
        lambda: s3_store.names(""),
        lambda: s3_store.put("b", b"x"),
        lambda: s3_store.put_new("b", b"x"),
        lambda: s3_store.delete("a"),
    ]
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "wrong")
            for call in calls:
                proxy.forget()
                with pytest.raises(StoreError, match=r"the store refuses: .*403.*check the credentials") as caught:
                    call()
                assert len(proxy.requests) == 1, "no second try"
                assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_s3_that_stays_down_gives_a_one_line_error_after_all_tries(s3_store: Store, proxy: FaultyProxy) -> None:
    proxy.faults = Faults(busy=1.0)
    with pytest.raises(StoreError, match=r"failed 12 times, last: .*SlowDown.*run again") as caught:
        s3_store.read_range("a", 0, 4)
    assert len(proxy.requests) == 12
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_s3_stalls_end(s3_store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without hedging have a time limit too."""
    monkeypatch.setattr(clients, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(clients, "SLOWEST", 1 << 30)  # a write may take as long as the longest of its class
    clients.client.cache_clear()
    proxy.faults = Faults(stall=1.0)
    for call in (s3_store.read, s3_store.delete):
        proxy.forget()
        with pytest.raises(StoreError, match=r"failed 2 times, last: .*TimedOut"):
            getattr(Store(s3_store.url, Retries(tries=2, first=0.001)), call.__name__)("a")
        assert len(proxy.requests) == 2
    clients.client.cache_clear()


def test_s3_put_new_whose_answer_was_lost_has_won(s3_store: Store, proxy: FaultyProxy) -> None:
    class ThenFine(Faults):
        def draw(self, generator: object) -> str:
            proxy.faults = Faults()
            return "reset"

    proxy.faults = ThenFine()
    assert s3_store.put_new("new", b"mine") is True
    assert [(r.method, r.status) for r in proxy.requests[:2]] == [("PUT", 200), ("PUT", 412)]
    assert len(proxy.requests) == 3, "who made it was asked once"
    assert s3_store.put_new("new", b"mine") is False, "equal bytes are not enough: another made them"
    proxy.faults = ThenFine()
    assert s3_store.put_new("new", b"mine") is False


def test_s3_returns_the_length_with_every_range(s3_store: Store, proxy: FaultyProxy) -> None:
    assert s3_store.read_range("a", 2, 5, len(CONTENT)) == CONTENT[2:5]
    with pytest.raises(IntegrityError, match=f"{len(CONTENT)} bytes, 7 expected"):
        s3_store.read_range("a", 2, 5, 7)
    assert [r.method for r in proxy.requests] == ["GET", "GET"]


def test_s3_objects_too_long_for_one_request_are_refused(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bucket_driver.SINGLE_PUT, "s3", 10)
    with pytest.raises(StoreError, match="at most 9 bytes"):
        s3_store.put_new("long", b"x" * 10)
    assert not s3_store.exists("long")


def test_s3_in_a_forked_process_is_refused_and_does_not_hang(s3_store: Store) -> None:
    code = (
        "import os, sys\nfrom tagmill.shards import Store, StoreError\nstore = Store(sys.argv[1])\nstore.read('a')\n"
        "if os.fork():\n    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "try:\n    store.read('a')\nexcept StoreError as error:\n    print(error)\n    sys.exit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, s3_store.url], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 7 and "spawn" in ended.stdout, ended.stderr


# What else a service may answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Notes the seconds of each pause instead of sleeping."""
    found: list[float] = []
    monkeypatch.setattr(retry_module, "pause", lambda seconds=0.0: found.append(seconds) if seconds else None)
    return found


class ThenNone(Faults):
    """The fault of a number of requests; those after them have none."""

    left = 1

    def draw(self, generator: Any) -> str:
        self.__dict__["left"] -= 1
        return super().draw(generator) if self.left >= 0 else ""


def first(count: int, **faults: Any) -> ThenNone:
    found = ThenNone(**faults)
    found.__dict__["left"] = count
    return found


@pytest.mark.parametrize("fault", ["busy", "limited"])
def test_a_wait_that_the_service_asks_for_is_kept(
    s3_store: Store, proxy: FaultyProxy, pauses: list[float], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """429 and 503 with Retry-After. The header is that of one more request, which is signed like the others."""
    monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked())
    for call in (s3_store.read, s3_store.size, lambda name: s3_store.put(name, CONTENT)):
        monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked())
        proxy.forget()
        pauses.clear()
        proxy.faults = first(2, **{fault: 1.0}, retry_after="7")
        call("a")
        status = 503 if fault == "busy" else 429
        assert [r.status for r in proxy.requests] == [status, status, 200] and proxy.requests[1].method == "HEAD"
        assert len(pauses) == 1 and 6 < pauses[0] <= 7 * 1.25


def test_a_wait_is_bounded_and_so_are_the_tries(
    s3_store: Store, proxy: FaultyProxy, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked())
    proxy.faults = Faults(limited=1.0, retry_after="86400")
    with pytest.raises(StoreError, match=r"failed 12 times, last: .*429.*run again") as caught:
        s3_store.read("a")
    assert pauses == [retry_module.LONGEST_WAIT] * 11 and "\n" not in str(caught.value)
    assert len(proxy.requests) == 13, "and the service was asked once how long"


def test_a_service_that_asks_for_no_wait_is_asked_once(
    s3_store: Store, proxy: FaultyProxy, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked())
    proxy.faults = Faults(busy=1.0)
    for _ in range(3):
        with pytest.raises(StoreError, match="failed 12 times"):
            s3_store.read("a")
    assert len(proxy.requests) == 3 * 12 + 1 and max(pauses) < 3


@pytest.mark.parametrize("fault", ["long", "beyond"])
def test_bodies_that_are_too_long_are_no_content(s3_store: Store, proxy: FaultyProxy, fault: str) -> None:
    """More bytes than a range has are an error, which is repeated; bytes after a body are dropped."""
    proxy.faults = first(2, **{fault: 1.0})
    before = STORE_COUNTERS.counts()
    assert s3_store.read_range("a", 100, 1000, len(CONTENT)) == CONTENT[100:1000]
    assert s3_store.read_range("a", 1000, len(CONTENT), len(CONTENT)) == CONTENT[1000:]
    assert (STORE_COUNTERS.counts() - before)["retries"] == (2 if fault == "long" else 0)
    proxy.faults = Faults(long=1.0)
    with pytest.raises(StoreError, match=rf"failed 12 times, last: .*{900 + len(EXCESS)} of 900 bytes arrived"):
        s3_store.read_range("a", 100, 1000)


def test_a_body_that_trickles_ends(s3_store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never silent for long, but takes longer than any answer of its length may."""
    monkeypatch.setattr(clients, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(clients, "SLOWEST", 1 << 40)
    clients.client.cache_clear()
    proxy.faults = Faults(trickle=1.0)
    with pytest.raises(StoreError, match=r"failed 2 times, last: .*TimedOut"):
        Store(s3_store.url, Retries(tries=2, first=0.001)).read_range("a", 0, 1000)
    clients.client.cache_clear()


REGIONS = {
    "named in the body": (
        400,
        {},
        b"<?xml version='1.0'?><Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is "
        b"malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
    ),
    "redirected": (301, {"x-amz-bucket-region": "eu-west-1"}, b"<Error><Code>PermanentRedirect</Code></Error>"),
}


@pytest.mark.parametrize("answer", REGIONS)
@pytest.mark.parametrize("call", ["read", "size", "put", "names", "delete"])
def test_another_region_is_named_in_one_line(expiring: SilentWeb, answer: str, call: str) -> None:
    """Also by HEAD, whose answers have no body."""
    write_keys("new")
    status, headers, body = REGIONS[answer]
    expiring.refuse = lambda _: (status, body)
    expiring.headers = {"x-amz-bucket-region": "eu-west-1", **headers}
    calls: dict[str, Callable[[Store], object]] = {"put": lambda store: store.put("b", b"x")}
    with pytest.raises(StoreError, match=r"refuses: .*set AWS_REGION=eu-west-1") as caught:
        calls.get(call, lambda store: getattr(store, call)("a"))(Store("s3://bucket", Retries(tries=5, first=0.001)))
    assert "\n" not in str(caught.value) and expiring.asked <= 2, "no second try; the region may cost one request"


def test_a_refusal_in_the_right_region_does_not_speak_of_another(expiring: SilentWeb) -> None:
    write_keys("new")
    expiring.refuse = lambda _: (400, b"")
    expiring.headers = {"x-amz-bucket-region": "us-east-1"}
    with pytest.raises(StoreError, match="check the credentials and the region"):
        Store("s3://bucket").size("a")


@pytest.mark.parametrize("code", ["AccessDenied", "InternalError"])
def test_an_object_that_a_bulk_deletion_leaves_is_an_error(expiring: SilentWeb, code: str) -> None:
    write_keys("new")
    error = f"<Error><Key>b</Key><Code>{code}</Code><Message>No.</Message></Error>"
    body = f"<DeleteResult><Deleted><Key>a</Key></Deleted>{error}</DeleteResult>"
    expiring.refuse = lambda _: (200, body.encode())
    with pytest.raises(StoreError, match=rf"(refuses|failed 3 times).*{code}"):
        Store("s3://bucket", Retries(tries=3, first=0.001)).delete_many(["a", "b"])
    assert expiring.asked == (1 if code == "AccessDenied" else 3)


def missing(url: str) -> None:
    store = Store(url, Retries(tries=5, first=0.001))
    before = STORE_COUNTERS.counts()
    with pytest.raises(StoreError, match=r"cannot write here: no such bucket.*create the bucket first") as caught:
        store.put("a", b"x")
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such bucket"):
        store.read("a")
    assert store.names("") == [] and not store.exists("a")
    assert (STORE_COUNTERS.counts() - before)["retries"] == 0


def test_a_missing_bucket_of_s3(s3_bucket: str) -> None:
    missing(f"{s3_bucket}-nowhere")


def test_a_missing_bucket_of_gcs(gcs: GcsServer) -> None:
    missing("gs://nowhere")


def test_a_missing_container_of_azure(azure_container: str) -> None:
    missing(f"{azure_container}-nowhere")


def changing(store: Store, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """After each page a name before it and one after it are deleted, and others are added on both sides."""
    monkeypatch.setattr(bucket_driver, "PAGE", page)
    stays = [f"{number:03d}/stays" for number in range(40)]
    goes = [f"{number:03d}/goes" for number in range(40)]
    for name in [*stays, *goes]:
        store.put(name, b"x")
    found: list[str] = []
    for name, _ in store.listing():
        found.append(name)
        if len(found) % page == 0:
            at = int(name[:3])
            for number in (at - 2, at + 2):
                store.delete(f"{number:03d}/goes")
                store.put(f"{number:03d}/comes", b"x")
    assert len(found) == len(set(found)), "none twice"
    assert set(stays) <= set(found), "none lost that was there all the time"
    assert any(name.endswith("comes") for name in found) or page > 20
    store.delete_below("")
    assert store.names("") == []


@pytest.mark.parametrize("page", [3, 7])
def test_a_listing_of_s3_that_changes(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    changing(Store(f"{s3_bucket}/deep"), monkeypatch, page)


@pytest.mark.parametrize("page", [3, 7])
def test_a_listing_of_gcs_that_changes(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    changing(Store("gs://bucket/deep"), monkeypatch, page)


def test_a_listing_of_azure_goes_on_after_a_failed_page(
    azurite: AzureService, azure_container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages follow a marker of the service, and each is repeated by itself; a listing that still fails says so
    instead of ending early."""
    monkeypatch.setattr(bucket_driver, "PAGE", 5)
    names = [f"a/{number:02d}" for number in range(12)]
    store = Store(azure_container, Retries(tries=3, first=0.001))
    for name in names:
        store.put(name, b"x")
    with faulty(azurite.url, only="comp=list") as proxy:
        monkeypatch.setenv(
            "AZURE_STORAGE_ENDPOINT", proxy.endpoint + azurite.environment["AZURE_STORAGE_ENDPOINT"][len(azurite.url) :]
        )
        proxy.faults = Faults(busy=0.4, seed=2)
        assert [name for name, _ in store.listing()] == names
        proxy.faults = Faults()
        listed = bucket_driver.BucketDriver(bucket_driver.Place("az", azure_container.removeprefix("az://")))
        page = listed.page("a/", None)
        page.next.failed = True
        with pytest.raises(StoreError, match="a listing failed after its first page"):
            listed.page("a/", page.next)
