"""Turns the errors of obstore into Python's own, by the HTTP status and the service's code, which only their text has."""

import errno
import re
from collections.abc import Callable

EXPIRED = frozenset(["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "ExpiredAuthenticationToken"])
# Statuses from 300 to 499 and codes that another try may fix.
PASSING = frozenset([408, 425, 429])
BUSY_CODES = frozenset(["SlowDown", "ServiceUnavailable", "ServerBusy", "TooManyRequests"])
PASSING_CODES = frozenset(
    ["RequestTimeout", "ConditionalRequestConflict", "OperationAborted", "ConcurrentModification", "InternalError"]
)
ABSENT_CODES = frozenset(["NoSuchKey", "NoSuchBucket", "BlobNotFound", "ContainerNotFound"])
ELSEWHERE = frozenset(["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"])
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")  # of an answer, or of one object of a bulk deletion
_REGION = re.compile(r"<Region>([\w-]+)</Region>")
_CAUSES = re.compile(r"ConnectionRefused|ConnectionReset|TimedOut|IncompleteMessage|UnexpectedEof|BrokenPipe")


class BehindEndError(OSError):
    """A range that begins after the end of its object."""


class BusyError(OSError):
    """The service asks for fewer requests (429 or 503); `retry_after`: and for a wait of so many seconds."""

    retry_after: float | None = None


class MisdirectedError(PermissionError):
    """A refusal of a bucket that is perhaps in another region: `region`, if the service names it, else `ask` finds it."""

    region: str = ""
    ask: Callable[[], str | None] = staticmethod(lambda: None)

    @property
    def remedy(self) -> str:
        region = self.region or self.ask()
        return f"set AWS_REGION={region}: the bucket is there" if region else "check the credentials and the region"


def plain_error(error: Exception, path: str) -> OSError:
    """Returns Python's error for an obstore error."""
    kind = type(error).__name__
    text = str(error).partition("\n\nDebug source:")[0]
    status, code, region = _STATUS.search(text), _CODE.search(text), _REGION.search(text)
    number, reason = int(status[1]) if status else 0, (code[1] or code[2]) if code else ""
    line = " ".join(
        re.sub(r"<\?xml.*|<Error>.*", "", re.sub(r"^Generic \w+ error: ", "", text), flags=re.DOTALL).split()
    )
    line = f"{reason} {line}".strip() + "".join(f" ({cause})" for cause in sorted(set(_CAUSES.findall(str(error)))))
    if reason in EXPIRED or (reason == "AuthenticationFailed" and "time frame" in text):
        return PermissionError(errno.EKEYEXPIRED, line, path)
    if reason in ELSEWHERE or number == 301 or "redirect without LOCATION" in text:
        found = MisdirectedError(errno.EREMCHG, line, path)
        found.region = region[1] if region else ""
        return found
    if number == 404 or reason in ABSENT_CODES:
        return FileNotFoundError(errno.ENOENT, f"no such object: {line}", path)
    if reason in BUSY_CODES or number in (429, 503):
        return BusyError(errno.EBUSY, line)
    if reason in PASSING_CODES:
        return OSError(errno.EIO, line)
    if number == 412 or kind in ("AlreadyExistsError", "PreconditionError"):
        return FileExistsError(errno.EEXIST, "exists", path)
    if number == 416 or "Wanted range starting at" in text:  # obstore's own, of an empty 206 as Azurite sends it
        return BehindEndError(errno.EINVAL, line)
    if kind in ("InvalidPathError", "UnknownConfigurationKeyError", "NotSupportedError"):
        return PermissionError(errno.EINVAL, line, path)
    if number == 400 and not reason:  # an answer to HEAD has no body with the reason
        return MisdirectedError(errno.EACCES, line, path)
    if (300 <= number < 500 and number not in PASSING) or (reason and not number):
        return PermissionError(errno.EACCES, line, path)
    return OSError(errno.EIO, line)
