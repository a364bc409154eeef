"""Tests the classification of store errors as libraries raise them."""

import errno
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.error_verdicts import classify, describe, retry_after


def of(module: str, name: str = "HttpError", **facts: Any) -> Exception:
    """Returns an error as a library that is not installed here raises it."""
    error: Exception = type(name, (Exception,), {"__module__": module})("words")
    for fact, value in facts.items():
        setattr(error, fact, value)
    return error


def answer(status: int) -> aiohttp.ClientResponseError:
    return aiohttp.ClientResponseError(SimpleNamespace(real_url="http://h/"), (), status=status)  # type: ignore[arg-type]


def s3_says(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (FileNotFoundError("a"), "absent"), (answer(404), "absent"), (of("gcsfs.retry", code="404"), "absent"),
        (of("httpx", response=SimpleNamespace(status_code=410)), "absent"),
        (PermissionError("no"), "refused"), (IsADirectoryError("a"), "refused"), (answer(403), "refused"),
        (answer(301), "refused"), (of("gcsfs.retry", code=401), "refused"), (of("azure.core", status_code=403), "refused"),
        (of("httpx", response=SimpleNamespace(status_code=403)), "refused"), (s3_says(403), "refused"),
        (NoCredentialsError(), "refused"), (of("google.auth.exceptions", "DefaultCredentialsError"), "refused"),
        (PermissionError(errno.EKEYEXPIRED, "a"), "expired"),
        (TimeoutError("slow"), "again"), (ConnectionResetError("a"), "again"), (OSError(errno.EBUSY, "a"), "again"),
        (answer(503), "again"), (answer(429), "again"), (s3_says(500), "again"), (of("gcsfs.retry", code=502), "again"),
        (EndpointConnectionError(endpoint_url="http://h"), "again"), (of("httpx", "ReadTimeout"), "again"),
        (of("httpcore", "ConnectError"), "again"), (of("http.client", "IncompleteRead"), "again"),
        (of("azure.core", "ServiceRequestError"), "again"), (aiohttp.ServerDisconnectedError(), "again"),
        (of("some_new_store", "Trouble"), "again"),
        (KeyError("a"), "ours"), (ZeroDivisionError("a"), "ours"), (TypeError("a"), "ours"), (StoreError("a"), "ours"),
        (of("json.decoder", "JSONDecodeError"), "ours"), (of("concurrent.futures", "CancelledError"), "ours"),
    ],
)  # fmt: skip
def test_classes_of_errors(error: Exception, meaning: str) -> None:
    assert classify(error) == meaning


def test_errors_are_described_in_one_line() -> None:
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(OSError(16, "reduce your request rate")) == "[Errno 16] reduce your request rate"
    assert describe(of("x")) == "words" and describe(ValueError("two\n  lines\n")) == "two lines"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (of("x", retry_after=3.5), 3.5),
        (of("aiohttp.client_exceptions", headers={"Retry-After": "7"}), 7),
        (of("httpx", response=SimpleNamespace(status_code=429, headers={"retry-after": " 8 "})), 8),
        (ClientError({"ResponseMetadata": {"HTTPHeaders": {"retry-after": "9"}}}, "GetObject"), 9),  # type: ignore[typeddict-item]
        (of("x", headers={"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}), 0),
        (of("x", headers={"Retry-After": "soon"}), None),
        (of("x", headers={"Retry-After": "-5"}), None),
        (of("x", headers=None), None),
        (OSError("a"), None),
        (ClientError({}, "GetObject"), None),
    ],
)
def test_waits_that_an_answer_asks_for(error: Exception, seconds: float | None) -> None:
    assert retry_after(error) == seconds
