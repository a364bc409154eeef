"""The variables that docs/how-to/buckets.md lists reach the service: what a request carries, as a server records it."""

import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tagmill.shards import Store
from tagmill.shards.storage.retry import Retries
from tests.markdown import ROOT

PAGE = (ROOT / "docs/how-to/buckets.md").read_text()
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
S3 = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-north-1"}
GOOGLE = {"GOOGLE_BEARER_TOKEN": "ours"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account"}


@dataclass
class Recorder:
    """`requests`: (method and path, headers with names in lower case)."""

    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Starts a server that takes every request and notes it, in an environment without other variables."""
    found = Recorder()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append((f"{self.command} {self.path}", headers))
            self.send_response(200)
            body = b"x" if self.command == "GET" else b""
            told = {"ETag": '"e"', "Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT", "Content-Length": str(len(body))}
            for name, value in told.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET  # noqa: N815

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    yield found
    server.shutdown()
    server.server_close()


def asked(service: Recorder, url: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Returns what a read and a put of an object send."""
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("{url}", service.url))
    store = Store(url, Retries(tries=1))
    assert store.read("a") == b"x"
    store.put("b", b"x")
    return service.requests


@pytest.mark.parametrize(
    ("url", "given", "read", "written"),
    [
        ("s3://b", S3, {"authorization": "Credential=ours/"}, {"authorization": "/eu-north-1/s3/"}),
        ("s3://b", {**S3, "AWS_SESSION_TOKEN": "t"}, {"x-amz-security-token": "t"}, {"x-amz-security-token": "t"}),
        (
            "s3://b",
            {**S3, "AWS_REQUEST_PAYER": "requester"},
            {"x-amz-request-payer": "requester"},
            {"x-amz-request-payer": "requester"},
        ),
        (
            "s3://b",
            {
                **S3,
                "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms",
                "AWS_SSE_KMS_KEY_ID": "our-key",
                "AWS_SSE_BUCKET_KEY_ENABLED": "true",
            },
            {},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "our-key",
                "x-amz-server-side-encryption-bucket-key-enabled": "true",
            },
        ),
        ("s3://b", {**S3, "AWS_CHECKSUM_ALGORITHM": "SHA256"}, {}, {"x-amz-checksum-sha256": "LXEW"}),
        ("gs://b", GOOGLE, {"authorization": "Bearer ours"}, {"authorization": "Bearer ours"}),
        (
            "gs://b",
            {**GOOGLE, "GOOGLE_CLOUD_QUOTA_PROJECT": "pays"},
            {"x-goog-user-project": "pays"},
            {"x-goog-user-project": "pays"},
        ),
        (
            "az://b",
            {**AZURE, "AZURE_STORAGE_ACCOUNT_KEY": KEY},
            {"authorization": "SharedKey account:"},
            {"authorization": "SharedKey account:"},
        ),
        (
            "abfss://b@account.dfs.core.windows.net",
            {**AZURE, "AZURE_STORAGE_TOKEN": "ours"},
            {"authorization": "Bearer ours"},
            {"authorization": "Bearer ours"},
        ),
        (
            "az://b",
            {"AZURE_STORAGE_CONNECTION_STRING": f"BlobEndpoint={{url}};AccountName=account;AccountKey={KEY}"},
            {"authorization": "SharedKey account:"},
            {"authorization": "SharedKey account:"},
        ),
    ],
)
def test_variables_reach_the_service(
    service: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    given: dict[str, str],
    read: dict[str, str],
    written: dict[str, str],
) -> None:
    place = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL"}.get(url[:2], "AZURE_STORAGE_ENDPOINT")
    if "AZURE_STORAGE_CONNECTION_STRING" not in given:
        given = {place: "{url}", **given}
    assert all(f"`{name}" in PAGE for name in given), "the page lists it"
    (first, of_read), (second, of_put) = asked(service, url, given, monkeypatch)
    assert (first, second) == ("GET /b/a", "PUT /b/b")
    for headers, wanted in ((of_read, read), (of_put, written)):
        assert all(value in headers[name] for name, value in wanted.items()), headers


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("s3://b", {"AWS_ENDPOINT_URL": "{url}", "AWS_SKIP_SIGNATURE": "true"}),
        ("az://b", {"AZURE_STORAGE_ENDPOINT": "{url}", **AZURE, "AZURE_SKIP_SIGNATURE": "true"}),
        ("az://b", {"AZURE_STORAGE_ENDPOINT": "{url}", **AZURE, "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=ours"}),
        ("gs://b", {"GOOGLE_BASE_URL": "{url}", "GOOGLE_SKIP_SIGNATURE": "true"}),
    ],
)
def test_requests_without_keys_are_not_signed(
    service: Recorder, monkeypatch: pytest.MonkeyPatch, url: str, given: dict[str, str]
) -> None:
    assert all(f"`{name}" in PAGE for name in given), "the page lists it"
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("{url}", service.url))
    assert Store(url, Retries(tries=1)).read("a") == b"x"
    ((path, headers),) = service.requests
    assert "authorization" not in headers
    assert path == ("GET /b/a?sv=1&sig=ours" if "AZURE_STORAGE_SAS_TOKEN" in given else "GET /b/a")
