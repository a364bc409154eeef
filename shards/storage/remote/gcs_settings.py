"""Finds the endpoint and the keys of Google Cloud Storage in the environment. obstore reads most of it itself.

| variable | what it sets |
| --- | --- |
| `GOOGLE_APPLICATION_CREDENTIALS`, `GOOGLE_SERVICE_ACCOUNT` | the file of a service account or of a user's login |
| `GOOGLE_SERVICE_ACCOUNT_KEY` | the content of a service account's file |
| `GOOGLE_SKIP_SIGNATURE=true` | a public bucket, without keys |
| `GOOGLE_BASE_URL`, `STORAGE_EMULATOR_HOST` | another address of the service; the second without keys unless there are some |
| `GOOGLE_CLOUD_QUOTA_PROJECT` | the project that pays, for buckets whose requester pays |

Without any of them: the login of `gcloud auth application-default login`, else the machine's own service account.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from tagmill.shards.storage.remote.clients import Settings
from tagmill.shards.storage.remote.environment import Environment, variables

KEY_FILES = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_APPLICATION_CREDENTIALS")
LOGIN = "~/.config/gcloud/application_default_credentials.json"
_KEYS = (*KEY_FILES, "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN", "GOOGLE_SKIP_SIGNATURE")

# A key without which obstore would look for a token before each write, also with skip_signature.
UNSIGNED = json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""})


def google_environment() -> Environment:
    """Returns the current variables about Google Cloud Storage."""
    return variables(b"GOOGLE_", b"STORAGE_EMULATOR_HOST", b"GCE_METADATA")


def gcs_settings(environment: Environment) -> Settings:
    """Returns the arguments of obstore's client that obstore does not find itself."""
    given = dict(environment)
    settings: dict[str, Any] = {}
    emulator = given.get("STORAGE_EMULATOR_HOST", "")
    if given.get("GOOGLE_BASE_URL"):
        settings["base_url"] = given["GOOGLE_BASE_URL"]
    elif emulator:
        settings["base_url"] = (emulator if "://" in emulator else f"http://{emulator}").rstrip("/")
        if not any(given.get(name) for name in _KEYS):
            settings["service_account_key"] = UNSIGNED
    elif found := _base_url(given):
        settings["base_url"] = found
    if project := given.get("GOOGLE_CLOUD_QUOTA_PROJECT"):
        settings["headers"] = (("x-goog-user-project", project),)
    return tuple(settings.items())


def _base_url(given: dict[str, str]) -> str:
    """Returns the address of the service that a service account's file names, as those of emulators do."""
    text = given.get("GOOGLE_SERVICE_ACCOUNT_KEY", "")
    try:
        for name in KEY_FILES:
            text = text or (Path(given[name]).read_text() if given.get(name) else "")
        return str(json.loads(text).get("gcs_base_url") or "") if text else ""
    except (OSError, ValueError, AttributeError):  # obstore explains it
        return ""


class GoogleKeys:
    """Knows which file of keys a client was made with, so that a file that was replaced since is read again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[Environment, list[tuple[int, int] | None]] = {}

    def version(self, environment: Environment) -> int:
        """Returns a number that grows each time `renew` has found a replaced file."""
        with self._lock:
            return len(self._states.setdefault(environment, [_state(environment)]))

    def renew(self, environment: Environment) -> bool | None:
        """Returns whether the file of keys was replaced since a client read it; None if there is no file."""
        now = _state(environment)
        with self._lock:
            states = self._states.setdefault(environment, [now])
            if now is None or states[-1] == now:
                return None
            states.append(now)
            return True


def _state(environment: Environment) -> tuple[int, int] | None:
    given = dict(environment)
    path = next((given[name] for name in KEY_FILES if given.get(name)), os.path.expanduser(LOGIN))  # noqa: PTH111
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


GOOGLE_KEYS = GoogleKeys()
