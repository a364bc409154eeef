"""What an error that a store's driver raised means: wait and try again, give up, or a mistake of our own.

Our drivers raise Python's own errors. fsspec's libraries (gcsfs, adlfs, aiohttp, httpx, botocore and others) let theirs
through, which are recognised by their module, and by the HTTP status that most of them carry.
"""

import errno
import sys
from typing import Literal

Verdict = Literal["again", "absent", "refused", "expired", "ours"]

# What another try cannot heal. Every other OSError is tried again: timeouts, resets, 5xx as drivers raise them.
PERMANENT = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
# Errors that modules of Python's own or of ours define are mistakes, but for those of its network protocols.
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


def verdict(error: Exception) -> Verdict:
    """What an error of a driver means: `absent` is an object that is not there, `expired` keys that were good."""
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


def told(error: BaseException) -> str:
    """What an error says, in a line: drivers leave some without words."""
    return " ".join(str(error).split()) or type(error).__name__


def _status(error: Exception) -> int:
    """The HTTP status that an error carries, 0 for none: `status` (aiohttp), `code` (gcsfs), `status_code` (azure),
    that of its response (httpx, requests), or botocore's."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    for holder in (error, response):
        for name in ("status", "code", "status_code"):
            value = getattr(holder, name, None)
            if isinstance(value, int | str) and str(value).isdigit():
                return int(value)
    return 0
