"""Tests the endpoint and keys of S3: from the environment, else by botocore's chain; renewed and missing keys."""

import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.s3_credentials import KeyRing, Keys, aws_environment, key_ring, keys_needed, s3_place

CREDENTIALS = """
[default]
aws_access_key_id = first
aws_secret_access_key = secret%d
[team]
aws_access_key_id = second
aws_secret_access_key = other
aws_session_token = token
"""
CONFIG = """
[default]
region = eu-west-1
[profile team]
region = eu-central-1
endpoint_url = http://127.0.0.1:9
[profile apart]
services = mine
[services mine]
s3 =
  endpoint_url = http://127.0.0.1:7
[profile program]
credential_process = {program}
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes the variables of AWS, and puts its files into an empty home."""
    for name, _ in aws_environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(CREDENTIALS)
    program = tmp_path / "program"
    said = json.dumps({"Version": 1, "AccessKeyId": "third", "SecretAccessKey": "made"})
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    (tmp_path / ".aws/config").write_text(CONFIG.format(program=program))
    return tmp_path / ".aws"


def ring() -> KeyRing:
    return key_ring(aws_environment())


def place() -> dict[str, str]:
    s3_place.cache_clear()
    return s3_place(aws_environment())


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Drops the key rings, which live as long as a process, so that each test has its own."""
    key_ring.cache_clear()


def test_a_profile_of_the_files(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ring().current() == Keys("first", "secret%d") and place() == {"region": "eu-west-1"}
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert ring().current() == Keys("second", "other", "token")
    assert place() == {"endpoint": "http://127.0.0.1:9", "region": "eu-central-1"}
    monkeypatch.setenv("AWS_PROFILE", "apart")
    assert place() == {"endpoint": "http://127.0.0.1:7"}
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert place() == {}
    monkeypatch.setenv("AWS_PROFILE", "program")
    assert ring().current() == Keys("third", "made"), "credentials of a program, as for single sign-on and roles"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/elsewhere")
    (files / "elsewhere").write_text(CREDENTIALS.replace("first", "fourth"))
    monkeypatch.delenv("AWS_PROFILE")
    assert ring().current().access_key_id == "fourth"


def test_the_environment_comes_first(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "mine", "SECRET_ACCESS_KEY": "s", "REGION": "us-west-2"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert ring().current() == Keys("mine", "s")
    assert place() == {"endpoint": "http://127.0.0.1:1", "region": "us-west-2"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    assert place()["endpoint"] == "http://127.0.0.1:2" and ring().current() == Keys("mine", "s", "t")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    assert ring().unsigned
    assert not keys_needed()


def test_keys_in_the_environment_need_no_botocore() -> None:
    """Importing it takes a third of a second."""
    code = """
        import os, sys
        os.environ.update(AWS_ACCESS_KEY_ID="k", AWS_SECRET_ACCESS_KEY="s", AWS_ENDPOINT_URL="http://127.0.0.1:9")
        from tagmill.shards import Store, StoreError
        from tagmill.shards.storage.store import Retries
        try:
            Store("s3://bucket", Retries(tries=1)).read("a")
        except StoreError:
            sys.exit(7 if "botocore" not in sys.modules else 1)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60).returncode == 7


def test_files_are_read_again_after_keys_were_refused(files: Path) -> None:
    keys = ring().current()
    assert ring().renew(keys) is False, "there are no others"
    text = (files / "credentials").read_text()
    (files / "credentials").write_text(text.replace("first", "renewed"))
    assert ring().current() == keys, "and not before they are refused"
    assert ring().renew(keys) is True
    assert ring().current().access_key_id == "renewed"
    assert ring().renew(keys) is True, "another thread had the old ones"
    assert ring().renew(ring().current()) is False
    (files / "credentials").write_text("[default]\naws_access_key_id = half-writ")
    assert ring().renew(ring().current()) is False
    assert ring().current().access_key_id == "renewed", "an unreadable file does not count as other keys"


def test_keys_of_the_environment_are_not_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert ring().renew(ring().current()) is None and ring().renew(None) is None


def test_without_keys_the_error_is_one_line_and_no_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata service of EC2 is asked only if configured: on other machines its address does not answer."""

    def no_network(*_: object) -> None:
        raise AssertionError("a connection")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        with pytest.raises(StoreError, match=r"no keys for S3 .*credentials.*AWS_ACCESS_KEY_ID") as caught:
            keys_needed()
    assert "\n" not in str(caught.value)
    with socket.create_server(("127.0.0.1", 0)) as listens:
        monkeypatch.setenv("HOME", "/nowhere")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{listens.getsockname()[1]}/")
        listens.settimeout(30)
        with pytest.raises(StoreError, match="no keys"):
            keys_needed()
        listens.accept()[0].close()


@pytest.mark.parametrize("wrong", ["no such profile", "half a key", "no section", "no program", "no token file"])
def test_errors_in_the_files_are_one_line(files: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    if wrong == "no such profile":
        monkeypatch.setenv("AWS_PROFILE", "missing")
    elif wrong == "half a key":
        (files / "credentials").write_text("[default]\naws_access_key_id = first\n")
    elif wrong == "no section":
        (files / "credentials").unlink()
        (files / "config").write_text("no section\n")
    elif wrong == "no program":
        monkeypatch.setenv("AWS_PROFILE", "program")
        (files.parent / "program").unlink()
    else:
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/x")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")
        (files / "credentials").unlink()
        (files / "config").unlink()
    with pytest.raises(StoreError, match="keys for S3 cannot be read") as caught:
        ring().current()
    assert "\n" not in str(caught.value)
    place()


def test_a_silent_service_of_keys_may_be_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import EndpointConnectionError

    def down(_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://sts.example")

    monkeypatch.setattr(KeyRing, "_found", down)
    with pytest.raises(OSError, match="does not answer"):
        ring().current()
