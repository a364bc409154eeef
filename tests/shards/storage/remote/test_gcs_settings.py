"""Endpoint and keys of Google Cloud Storage by the environment, and a file of keys that is replaced."""

import json
import os
from pathlib import Path

import pytest

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


def test_an_emulator_needs_no_keys(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_SERVICE_ACCOUNT_KEY")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url.removeprefix("http://"))
    store = Store("gs://bucket", Retries(tries=2, first=0.001))
    assert store.put_new("a", b"x") and store.exchange("a", b"x", b"y") and store.read("a") == b"y"
