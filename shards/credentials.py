"""Where an S3 service is and who asks: from the usual environment, then from the files of the AWS command line."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

# What boto calls them in its files, and what obstore calls them.
KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
# Ways to credentials that obstore goes itself; they come before a file that nobody named.
OTHER_WAYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


def s3_settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`endpoint`, `region` and the keys of a profile, where something says them; obstore's names.

    Keys in the environment are obstore's to find. Of a profile (AWS_PROFILE, or `default`) only keys that stand in the
    file are read: for single sign-on and assumed roles, `aws configure export-credentials --format env` gives variables.
    """
    profile = _profile(environment)
    endpoint = (
        environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url")
    )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or profile.get("region")
    found = {"endpoint": endpoint, "region": region}
    if not any(environment.get(way) for way in OTHER_WAYS):
        found.update({ours: profile.get(theirs) for theirs, ours in KEYS.items()})
    return {name: value for name, value in found.items() if value}


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    name = environment.get("AWS_PROFILE") or "default"
    found: dict[str, str] = {}
    for variable, usual in FILES.items():
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(environment.get(variable) or usual).expanduser())
        except (configparser.Error, UnicodeDecodeError):  # not ours to mend, and the environment may say all
            continue
        for section in (name, f"profile {name}"):
            if parser.has_section(section):
                found = {**dict(parser.items(section)), **found}
    return found
