"""Tests where Google Cloud Storage is looked for and with which keys, against the stand-in."""

import json
from pathlib import Path

import pytest

from tagmill.shards import Store
from tagmill.shards.errors import StoreError
from tagmill.shards.storage.retry import Retries
from tests.shards.gcs_server import GcsServer


@pytest.fixture
def bare(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> GcsServer:
    """The stand-in, in an environment without variables."""
    for name in gcs.environment_at(gcs.url):
        monkeypatch.delenv(name)
    return gcs


def check(url: str = "gs://bucket/x") -> None:
    store = Store(url, Retries(tries=2, first=0.001))
    store.put("a", b"content")
    assert store.read("a") == b"content" and store.names("") == ["a"]
    assert store.put_new("a", b"x") is False and store.exchange("a", b"content", b"new") is True
    store.delete_below("")
    assert store.names("") == []


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
@pytest.mark.parametrize("with_scheme", [True, False])
def test_an_emulator_needs_no_keys(
    bare: GcsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, with_scheme: bool
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bare.url if with_scheme else bare.url.removeprefix("http://"))
    check(f"{scheme}://bucket/x")


def test_a_file_of_keys(bare: GcsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(bare.environment_at(bare.url)["GOOGLE_SERVICE_ACCOUNT_KEY"])
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
    check()


def test_a_token(bare: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.token = "ours"
    monkeypatch.setenv("GOOGLE_BASE_URL", bare.url)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "ours")
    check()
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "theirs")
    bare.requests.clear()
    for call in (lambda store: store.read("a"), lambda store: store.put("a", b"x"), lambda store: store.names("")):
        with pytest.raises(StoreError, match=r"the store refuses: .*401.*check the credentials") as caught:
            call(Store("gs://bucket"))
        assert "\n" not in str(caught.value)
    assert len(bare.requests) == 3, "no second try"


def test_the_project_that_pays(bare: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bare.create("bucket", payer="project")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bare.url)
    with pytest.raises(StoreError, match=r"UserProjectMissing"):
        Store("gs://bucket").read("a")
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "project")
    check()


def test_a_bucket_that_does_not_exist(gcs: GcsServer) -> None:
    with pytest.raises(StoreError, match=r"create the bucket first"):
        Store("gs://none").put("a", b"x")
    with pytest.raises(FileNotFoundError):
        Store("gs://none").read("a")


def test_keys_that_cannot_be_read_are_one_line(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps({"gcs_base_url": gcs.url}))
    with pytest.raises(StoreError) as caught:
        Store("gs://bucket", Retries(tries=1)).read("a")
    assert "\n" not in str(caught.value)
