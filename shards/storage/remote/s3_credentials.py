"""Finds the endpoint and the keys of an S3 service: from the environment, else by botocore's own chain (profiles,
single sign-on, assumed roles, processes, containers), which is imported when it is needed.

The chain's last link, an EC2 machine's own role, is used only if AWS_EC2_METADATA_DISABLED=false or a service endpoint
says so: on every other machine that address does not answer.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote.environment import Environment, is_true, variables

FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
CHAIN_FAILED = "renew them (aws sso login, aws configure), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
NO_KEYS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE; AWS_SKIP_SIGNATURE=true for a public bucket, "
    "AWS_EC2_METADATA_DISABLED=false for the role of an EC2 machine"
)


class Keys(NamedTuple):
    """The keys that sign requests."""

    access_key_id: str
    secret_access_key: str
    token: str | None = None


def aws_environment() -> Environment:
    """Returns the current variables about the endpoint and the keys of S3."""
    return variables(b"AWS_")


class KeyRing:
    """The keys of this process for its environment; read again when a store refuses them. Used by many threads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._source: Any = None  # botocore's credentials, some of which renew themselves

    @property
    def unsigned(self) -> bool:
        """True if requests are not signed, as for public buckets."""
        return is_true(self._environment.get("AWS_SKIP_SIGNATURE", ""))

    def current(self) -> Keys:
        """Returns the current keys. Raises StoreError if there are none, OSError if a service that provides them does
        not answer."""
        if (given := self._given()) is not None:
            return given
        with self._lock:
            return self._loaded()

    def renew(self, used: Keys | None) -> bool | None:
        """Returns whether there are other keys than those that a store has just refused, after reading files again.
        None if there cannot be any."""
        if used is None or self._given() is not None:
            return None
        with self._lock:
            old = self._source
            try:
                if old is not None and self._loaded() != used:  # another thread has renewed them
                    return True
                self._source = None
                return self._loaded() != used
            except (StoreError, OSError):  # for example a file that is being written
                self._source = old
                return False

    def _given(self) -> Keys | None:
        key, secret = (self._environment.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        token = self._environment.get("AWS_SESSION_TOKEN") or self._environment.get("AWS_SECURITY_TOKEN")
        return Keys(key, secret, token) if key and secret else None

    def _loaded(self) -> Keys:
        with _explained():
            if self._source is None:
                self._source = self._found()
            keys = self._source.get_frozen_credentials()
            return Keys(keys.access_key, keys.secret_key, keys.token)

    def _found(self) -> Any:
        session = _session()
        chain = session.get_component("credential_provider")
        asked_for = self._environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "false"
        if not asked_for and not self._environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
            chain.remove("iam-role")
        found = chain.load_credentials()
        if found is None:
            raise StoreError("there are no keys for S3", _files(), NO_KEYS)
        return found


@lru_cache(maxsize=16)
def key_ring(environment: Environment) -> KeyRing:
    """Returns the key ring of an environment, one for each."""
    return KeyRing(dict(environment))


def keys_needed() -> bool:
    """Returns whether requests to S3 are signed. Raises StoreError if they are and there are no keys."""
    ring = key_ring(aws_environment())
    if not ring.unsigned:
        ring.current()
    return not ring.unsigned


@lru_cache(maxsize=16)
def s3_place(environment: Environment) -> dict[str, str]:
    """Returns `endpoint` and `region` if the environment or the profile has them."""
    given = dict(environment)
    endpoint = given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL")
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    if not (endpoint and region) and any(_file(given, name).exists() for name in FILES):
        with suppress(StoreError):  # errors in the files matter only if their keys are needed
            endpoint, region = _of_profile(endpoint, region)
    return {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}


def _of_profile(endpoint: str | None, region: str | None) -> tuple[str | None, str | None]:
    with _explained():
        session = _session()
        from botocore.configprovider import ConfiguredEndpointProvider

        if not endpoint and not session.get_config_variable("ignore_configured_endpoint_urls"):
            endpoint = ConfiguredEndpointProvider(session.full_config, session.get_scoped_config(), "s3").provide()
        return endpoint, region or session.get_config_variable("region")


def _session() -> Any:
    """Returns a new session, because a session caches its files."""
    try:
        from botocore.session import Session
    except ImportError as error:
        raise StoreError("keys for S3 are looked for by botocore", "", "pip install 'tagmill[s3]'") from error
    return Session()


@contextmanager
def _explained() -> Iterator[None]:
    """Raises botocore's errors as OSError if another try may fix them, else as StoreError."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] != "botocore" and not isinstance(error, OSError):
            raise
        from botocore.exceptions import ConnectionError as NoConnectionError
        from botocore.exceptions import HTTPClientError

        line = " ".join(str(error).split())
        if isinstance(error, HTTPClientError | NoConnectionError):
            raise OSError(f"the service that provides keys does not answer: {line}") from error
        raise StoreError(f"the keys for S3 cannot be read: {line}", _files(), CHAIN_FAILED) from error


def _file(environment: Mapping[str, str], name: str) -> Path:
    return Path(os.path.expanduser(environment.get(name) or FILES[name]))  # noqa: PTH111 (which needs a home)


def _files() -> str:
    return " and ".join(str(_file(os.environ, name)) for name in FILES)
