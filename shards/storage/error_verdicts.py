"""Classifies the errors of store drivers: retry, permanent failure, or a bug in this program.

Our own drivers raise Python's errors. The libraries of fsspec (gcsfs, adlfs, aiohttp, httpx, botocore and others) raise
their own, which are recognised by their module and by the HTTP status that most of them carry.
"""

import email.utils
import errno
import sys
import time
from typing import Any, Literal

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


def retry_after(error: Exception) -> float | None:
    """Returns the seconds that a store's answer asks to wait (Retry-After), None if it does not say: `retry_after` of
    our own drivers' errors, else the headers of the error (aiohttp) or of its response (azure, httpx, botocore)."""
    known: float | None = getattr(error, "retry_after", None)
    if known is not None:
        return known
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return seconds_of(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    for holder in (error, response):
        if (found := seconds_of(getattr(holder, "headers", None))) is not None:
            return found
    return None


def seconds_of(headers: Any) -> float | None:
    """Returns the seconds from now that the header Retry-After names, as a number or as a date."""
    try:
        text = str(next(value for name, value in headers.items() if str(name).lower() == "retry-after")).strip()
    except (AttributeError, TypeError, ValueError, StopIteration):
        return None
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
