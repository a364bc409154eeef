"""Errors of obstore as their texts are, and Python's errors that they become."""

import errno

import pytest

from tagmill.shards.storage.error_verdicts import classify
from tagmill.shards.storage.remote.answers import BehindEndError, BusyError, MisdirectedError, plain_error


def said(text: str, kind: str = "GenericError") -> Exception:
    error: Exception = type(kind, (Exception,), {})(text)
    return error


def answered(status: str, body: str = "", store: str = "S3") -> Exception:
    line = f"Error performing GET http://h/b/a in 1ms - Server returned non-2xx status code: {status}: {body}"
    return said(f"Generic {store} error: {line}\n\nDebug source:\nGeneric {{ ConnectionRefused-free }}")


def coded(code: str, more: str = "") -> str:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>two\nlines</Message>{more}</Error>'


@pytest.mark.parametrize(
    ("error", "kind", "verdict"),
    [
        (answered("503 Slow Down", coded("SlowDown")), BusyError, "again"),
        (answered("429 Too Many Requests"), BusyError, "again"),
        (answered("500 Internal Server Error", coded("InternalError")), OSError, "again"),
        (answered("408 Request Timeout"), OSError, "again"),
        (answered("400 Bad Request", coded("RequestTimeout")), OSError, "again"),
        (answered("409 Conflict", coded("ConditionalRequestConflict")), OSError, "again"),
        (answered("403 Forbidden", coded("AccessDenied")), PermissionError, "refused"),
        (answered("401 Unauthorized", store="GCS"), PermissionError, "refused"),
        (answered("400 Bad Request", coded("ExpiredToken")), PermissionError, "expired"),
        (
            answered("403 Forbidden", coded("AuthenticationFailed", "<D>not valid in the time frame</D>")),
            PermissionError,
            "expired",
        ),
        (answered("404 Not Found"), FileNotFoundError, "absent"),
        (answered("412 Precondition Failed"), FileExistsError, "refused"),
        (said("Object at location a already exists", "AlreadyExistsError"), FileExistsError, "refused"),
        (answered("416 Range Not Satisfiable"), BehindEndError, "again"),
        (answered("301 Moved Permanently", coded("PermanentRedirect")), MisdirectedError, "refused"),
        (said("Generic S3 error: Received redirect without LOCATION"), MisdirectedError, "refused"),
        (said("DeleteObjects request failed for key b: No. (code: AccessDenied)"), PermissionError, "refused"),
        (said("DeleteObjects request failed for key b: No. (code: SlowDown)"), BusyError, "again"),
        (said("Generic S3 error: HTTP error: error sending request\n\nDebug source:\nx ConnectionReset"), OSError, "again"),
    ],
)  # fmt: skip
def test_kinds(error: Exception, kind: type[Exception], verdict: str) -> None:
    found = plain_error(error, "a")
    assert isinstance(found, kind) and classify(found) == verdict
    if kind in (OSError, PermissionError):
        assert type(found) in (OSError, PermissionError)
    assert "\n" not in str(found) and "<" not in str(found)


def test_causes_of_the_network_are_named() -> None:
    text = "Generic S3 error: GET http://h/a - HTTP error\n\nDebug source:\nsource: TimedOut, Os: ConnectionRefused"
    assert str(plain_error(said(text), "a")).endswith("HTTP error (ConnectionRefused) (TimedOut)")


def test_a_region_is_that_of_the_answer_or_is_asked_for() -> None:
    error = answered("400 Bad Request", coded("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"))
    found = plain_error(error, "a")
    assert isinstance(found, MisdirectedError) and found.errno == errno.EREMCHG
    assert found.remedy == "set AWS_REGION=eu-west-1: the bucket is there"
    head = plain_error(answered("400 Bad Request"), "a")
    assert isinstance(head, MisdirectedError) and head.remedy == "check the credentials and the region"
    head.ask = lambda: "eu-west-2"
    assert "AWS_REGION=eu-west-2" in head.remedy
