"""Tests where Google Cloud Storage is looked for and with which keys, and a file of keys that is replaced; against the
stand-in."""

import json
import os
from pathlib import Path

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.gcs_settings import UNSIGNED, GoogleKeys, gcs_settings, google_environment
from tagmill.shards.storage.store import Retries, Store
from tests.shards.gcs_server import GcsServer


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _ in google_environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {}),
        ({"GOOGLE_BASE_URL": "http://h:1"}, {"base_url": "http://h:1"}),
        ({"STORAGE_EMULATOR_HOST": "h:1"}, {"base_url": "http://h:1", "service_account_key": UNSIGNED}),
        ({"STORAGE_EMULATOR_HOST": "http://h:1/", "GOOGLE_BEARER_TOKEN": "t"}, {"base_url": "http://h:1"}),
        ({"GOOGLE_CLOUD_QUOTA_PROJECT": "p"}, {"headers": (("x-goog-user-project", "p"),)}),
        ({"GOOGLE_SERVICE_ACCOUNT_KEY": '{"gcs_base_url": "http://h:2"}'}, {"base_url": "http://h:2"}),
        ({"GOOGLE_SERVICE_ACCOUNT_KEY": "[]"}, {}),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}, {}),
    ],
)
def test_settings(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], settings: dict[str, object]) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert dict(gcs_settings(google_environment())) == settings


def account_file(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Names the server by a service account's file instead of a variable."""
    path = folder / "account.json"
    path.write_text(gcs.environment_at(gcs.url)["GOOGLE_SERVICE_ACCOUNT_KEY"])
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
    return path


def test_the_file_of_a_service_account_names_the_service(
    gcs: GcsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account_file(gcs, monkeypatch, tmp_path)
    store = Store("gs://bucket", Retries(tries=2, first=0.001))
    store.put("a", b"x")
    assert store.read("a") == b"x"


def test_a_replaced_file_of_keys_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys, path = GoogleKeys(), tmp_path / "keys.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    environment = google_environment()
    assert keys.version(environment) == 1 and keys.renew(environment) is None, "there is no file"
    path.write_text(json.dumps({"a": 1}))
    assert keys.renew(environment) is True and keys.version(environment) == 2
    assert keys.renew(environment) is None, "the same file"
    path.write_text(json.dumps({"a": 22}))
    os.utime(path, (1, 1))
    assert keys.renew(environment) is True and keys.version(environment) == 3


def test_refused_keys_are_read_again_once_their_file_is_replaced(
    gcs: GcsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the store: the old file names a service that refuses."""
    path = account_file(gcs, monkeypatch, tmp_path)
    store = Store("gs://bucket", Retries(tries=2, first=0.001))
    store.put("a", b"x")
    gcs.token = "other"
    whole, asked = gcs.answer, []

    def replaced(request: object) -> object:
        """The file is replaced, and the service accepts it, while it refuses."""
        asked.append(request)
        try:
            return whole(request)  # type: ignore[arg-type]
        finally:
            path.write_text(path.read_text() + " " * len(asked))
            gcs.token = None

    monkeypatch.setattr(gcs, "answer", replaced)
    assert store.read("a") == b"x" and len(asked) == 2


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
