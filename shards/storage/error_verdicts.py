"""Classifies the errors of store drivers: retry, permanent failure, or a bug in this program.

Our own drivers raise Python's errors. The libraries of fsspec (gcsfs, adlfs, aiohttp, httpx, botocore and others) raise
their own, which are recognised by their module and by the HTTP status that most of them carry.
"""

import errno
import sys
from typing import Literal

Verdict = Literal["again", "absent", "refused", "expired", "ours"]

# Errors that another try cannot fix. Every other OSError is retried: timeouts, resets, 5xx as drivers raise them.
PERMANENT = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
# Errors that Python's own modules or tagmill define are bugs, except those of Python's network protocols.
_NOT_LIBRARIES = (frozenset(sys.stdlib_module_names) | {"tagmill"}) - {"http", "asyncio"}
_AGAIN = frozenset([408, 409, 425, 429])  # of the statuses below 500
_NO_KEYS = frozenset(
    [
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "DefaultCredentialsError",
        "RefreshError",
        "ClientAuthenticationError",
        "CredentialUnavailableError",
    ]
)


def classify(error: Exception) -> Verdict:
    """Classifies a driver's error: `absent` means a missing object, `expired` keys that were valid, `ours` a bug."""
    if isinstance(error, FileNotFoundError):
        return "absent"
    if isinstance(error, PermissionError) and error.errno == errno.EKEYEXPIRED:
        return "expired"
    if isinstance(error, PERMANENT):
        return "refused"
    if not isinstance(error, OSError) and type(error).__module__.split(".")[0] in _NOT_LIBRARIES:
        return "ours"
    status = _status(error)
    if status in (404, 410):
        return "absent"
    if (300 <= status < 500 and status not in _AGAIN) or type(error).__name__ in _NO_KEYS:
        return "refused"
    return "again"


def describe(error: BaseException) -> str:
    """Describes an error in one line: some drivers raise errors without a text."""
    return " ".join(str(error).split()) or type(error).__name__


def _status(error: Exception) -> int:
    """Returns the HTTP status of an error, 0 for none: `status` (aiohttp), `code` (gcsfs), `status_code` (azure), that
    of its response (httpx, requests), or botocore's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    for holder in (error, response):
        for name in ("status", "code", "status_code"):
            value = getattr(holder, name, None)
            if isinstance(value, int | str) and str(value).isdigit():
                return int(value)
    return 0
