"""Where S3 is and who asks, from the environment and from the files of the AWS command line."""

from pathlib import Path

import pytest

from tagmill.shards.credentials import s3_settings

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
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "credentials").write_text(CREDENTIALS)
    (tmp_path / "config").write_text(CONFIG)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }


def test_a_profile_of_the_files(files: dict[str, str]) -> None:
    assert s3_settings(files) == {
        "region": "eu-west-1", "access_key_id": "first", "secret_access_key": "secret%d",
    }  # fmt: skip
    assert s3_settings({**files, "AWS_PROFILE": "team"}) == {
        "endpoint": "http://127.0.0.1:9",
        "region": "eu-central-1",
        "access_key_id": "second",
        "secret_access_key": "other",
        "session_token": "token",
    }
    assert s3_settings({**files, "AWS_PROFILE": "nobody"}) == {}


def test_the_environment_comes_first(files: dict[str, str]) -> None:
    environment = {
        **files,
        "AWS_ACCESS_KEY_ID": "mine",
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    assert s3_settings(environment) == {"endpoint": "http://127.0.0.1:1", "region": "us-west-2"}
    assert s3_settings({**environment, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:2"})["endpoint"] == "http://127.0.0.1:2"
    assert "access_key_id" not in s3_settings({**files, "AWS_SKIP_SIGNATURE": "true"})


def test_files_that_are_not_there_or_not_in_order(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no section\n\xff\xfe")
    for name in ("nowhere", "broken"):
        path = str(tmp_path / name)
        assert s3_settings({"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_CONFIG_FILE": path}) == {}
