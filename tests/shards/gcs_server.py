"""A stand-in for Google Cloud Storage, in threads of this process: the part of its XML API that obstore speaks.

No test reaches the real service, so nothing here shows more than that our requests mean what Google's reference of the
XML API says. fake-gcs-server and other emulators were not usable: they do not enforce x-goog-if-generation-match in the
XML API, without which a test of "exactly one wins" tests nothing.

It is strict: a header or parameter that could change what a request means, and that it does not know, is a 400. It
enforces generations, x-goog-if-generation-match, ranges, bearer tokens, the project that pays, and the rules of
multipart uploads.

    with gcs_server() as server:
        server.create("bucket")
        ...  # clients go to server.url; server.requests lists what they asked
"""

import base64
import hashlib
import http.server
import itertools
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest

LARGEST_PAGE = 1000  # objects in a page of a listing
SMALLEST_PART = 5 << 20  # bytes of a part of a multipart upload that is not the last
HARMLESS = {"accept", "accept-encoding", "authorization", "connection", "content-length", "expect", "host"}
HARMLESS |= {"user-agent", "x-goog-user-project"}
CONDITION = "x-goog-if-generation-match"
META = "x-goog-meta-"


class Refusal(Exception):  # noqa: N818 (an answer, as XML)
    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{status} {code} {message}")
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Blob:
    """One generation of an object. `headers` are those it was stored with."""

    data: bytes
    generation: int
    etag: str
    headers: dict[str, str]
    modified: float = field(default_factory=time.time)


@dataclass
class Upload:
    """A multipart upload that is not complete."""

    name: str
    headers: dict[str, str]
    parts: dict[int, Blob] = field(default_factory=dict)


@dataclass
class Bucket:
    """`payer`: the project that a request must name, None if the owner pays."""

    payer: str | None = None
    blobs: dict[str, Blob] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request. `query` and `headers` have names in lower case."""

    method: str
    bucket: str
    name: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def only(self, headers: set[str], query: set[str]) -> None:
        """Refuses a request with headers or parameters other than these."""
        others = {name for name in self.headers if not name.startswith(META)} - headers - HARMLESS
        if others := others | set(self.query) - query:
            raise Refusal(400, "InvalidArgument", f"this stand-in does not know {sorted(others)}")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class GcsServer:
    """`page`: largest page of a listing. `token`: the one bearer token that is accepted; None: every request is.
    `after_page` is called after each page of a listing was made, with no lock held."""

    url: str = ""
    page: int = LARGEST_PAGE
    token: str | None = None
    after_page: Callable[[], None] = lambda: None
    requests: list[tuple[str, str, int]] = field(default_factory=list)  # method, path, status
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._generations = itertools.count(time.time_ns() // 1000)

    def create(self, bucket: str, payer: str | None = None) -> None:
        self.buckets[bucket] = Bucket(payer)

    def environment_at(self, url: str) -> dict[str, str]:
        """Returns the environment variables of a client that reaches it at `url`: the key of a service account that
        needs no token.

        GOOGLE_SKIP_SIGNATURE would do for reads only: obstore looks for a token before each write all the same.
        """
        key = {"gcs_base_url": url, "disable_oauth": True, "client_email": "", "private_key": ""}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key | {"private_key_id": ""})}

    def answer(self, asked: Asked) -> Answer:
        """Answers one request. Raises Refusal."""
        if self.token is not None and asked.headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "AuthenticationRequired", "Authentication required.")
        bucket = self.buckets.get(asked.bucket)
        if bucket is None:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.")
        if bucket.payer and asked.headers.get("x-goog-user-project") != bucket.payer:
            raise Refusal(400, "UserProjectMissing", "Bucket is a requester pays bucket but no user project provided.")
        if not asked.name:
            if asked.method != "GET":
                raise Refusal(405, "MethodNotAllowed", "this stand-in only lists buckets")
            with self._lock:
                listed = _listing(bucket, asked, self.page)
            self.after_page()
            return listed
        with self._lock:
            if "uploadid" in asked.query or "uploads" in asked.query:
                return self._multipart(bucket, asked)
            if asked.method in ("GET", "HEAD"):
                return _read(bucket, asked)
            if asked.method == "PUT":
                asked.only({CONDITION, "content-type"}, set())
                _check_condition(bucket, asked)
                etag = f'"{hashlib.md5(asked.body, usedforsecurity=False).hexdigest()}"'
                return Answer(200, _facts(self._store(bucket, asked.name, asked.body, etag, _stored(asked))))
            if asked.method == "DELETE":
                asked.only({CONDITION}, set())
                _check_condition(bucket, asked)
                if bucket.blobs.pop(asked.name, None) is None:
                    raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
                return Answer(204)
        raise Refusal(405, "MethodNotAllowed", asked.method)

    def _store(self, bucket: Bucket, name: str, data: bytes, etag: str, headers: dict[str, str]) -> Blob:
        bucket.blobs[name] = blob = Blob(data, next(self._generations), etag, headers)
        return blob

    def _multipart(self, bucket: Bucket, asked: Asked) -> Answer:
        if "uploads" in asked.query and asked.method == "POST":
            asked.only({"content-type"}, {"uploads"})
            token = uuid.uuid4().hex
            bucket.uploads[token] = Upload(asked.name, _stored(asked))
            return _xml("InitiateMultipartUploadResult", Bucket=asked.bucket, Key=asked.name, UploadId=token)
        asked.only({CONDITION, "content-type"}, {"uploadid", "partnumber"})
        upload = bucket.uploads.get(asked.query["uploadid"])
        if upload is None or upload.name != asked.name:
            raise Refusal(404, "NoSuchUpload", "The requested upload was not found.")
        if asked.method == "PUT":
            number = int(asked.query["partnumber"])
            if not 1 <= number <= 10_000:
                raise Refusal(400, "InvalidArgument", "part number")
            etag = f'"{hashlib.md5(asked.body, usedforsecurity=False).hexdigest()}"'
            upload.parts[number] = Blob(asked.body, 0, etag, {})
            return Answer(200, {"ETag": etag})
        if asked.method == "DELETE":
            del bucket.uploads[asked.query["uploadid"]]
            return Answer(204)
        if asked.method != "POST":
            raise Refusal(405, "MethodNotAllowed", asked.method)
        wanted = [(int(part.findtext("PartNumber") or 0), part.findtext("ETag")) for part in _body(asked)]
        parts = [upload.parts.get(number) for number, _ in wanted]
        if not parts or [number for number, _ in wanted] != sorted({number for number, _ in wanted}):
            raise Refusal(400, "InvalidPartOrder", "parts ascend")
        found = [part for part, (_, etag) in zip(parts, wanted, strict=True) if part is not None and part.etag == etag]
        if len(found) != len(wanted):
            raise Refusal(400, "InvalidPart", "a part was not uploaded, or has another ETag")
        if any(len(part.data) < SMALLEST_PART for part in found[:-1]):
            raise Refusal(400, "EntityTooSmall", f"a part before the last has less than {SMALLEST_PART} bytes")
        _check_condition(bucket, asked)
        del bucket.uploads[asked.query["uploadid"]]
        etag = f'"{uuid.uuid4().hex}-{len(found)}"'
        self._store(bucket, asked.name, b"".join(part.data for part in found), etag, upload.headers)
        return _xml("CompleteMultipartUploadResult", Bucket=asked.bucket, Key=asked.name, ETag=etag)


def _check_condition(bucket: Bucket, asked: Asked) -> None:
    """0: no object of that name, else the generation of the one that is there."""
    given = asked.headers.get(CONDITION)
    if given is None:
        return
    if not re.fullmatch(r"\d{1,19}", given):
        raise Refusal(400, "InvalidArgument", f"{CONDITION}: {given}")
    found = bucket.blobs.get(asked.name)
    if int(given) != (found.generation if found else 0):
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


def _read(bucket: Bucket, asked: Asked) -> Answer:
    asked.only({CONDITION, "range"}, {"generation"})
    blob = bucket.blobs.get(asked.name)
    if blob is None or asked.query.get("generation", str(blob.generation)) != str(blob.generation):
        raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
    _check_condition(bucket, asked)
    headers, size = _facts(blob) | blob.headers, len(blob.data)
    headers |= {"Last-Modified": formatdate(blob.modified, usegmt=True), "Accept-Ranges": "bytes"}
    given = asked.headers.get("range")
    if given is None:
        return Answer(200, headers, blob.data)
    if not (extent := re.fullmatch(r"bytes=(\d*)-(\d*)", given)) or given == "bytes=-":
        raise Refusal(400, "InvalidArgument", f"range: {given}")
    first = int(extent[1]) if extent[1] else max(0, size - int(extent[2]))
    last = min(int(extent[2]), size - 1) if extent[1] and extent[2] else size - 1
    if first > last:
        raise Refusal(416, "InvalidRange", "The requested range cannot be satisfied.")
    return Answer(206, headers | {"Content-Range": f"bytes {first}-{last}/{size}"}, blob.data[first : last + 1])


def _listing(bucket: Bucket, asked: Asked, largest: int) -> Answer:
    """One page, of what is there now: a page does not know what the one before it had found."""
    known = {"list-type", "prefix", "delimiter", "continuation-token", "start-after", "max-keys"}
    asked.only(set(), known)
    query = asked.query
    if query.get("list-type") != "2" or query.get("delimiter", "/") != "/":
        raise Refusal(400, "InvalidArgument", "this stand-in lists with list-type=2 and the delimiter /")
    prefix, after = query.get("prefix", ""), query.get("start-after", "")
    if "continuation-token" in query:
        try:
            after = max(after, base64.urlsafe_b64decode(query["continuation-token"]).decode())
        except ValueError as error:
            raise Refusal(400, "InvalidArgument", "continuation-token") from error
    most = min(int(query.get("max-keys", LARGEST_PAGE)), LARGEST_PAGE, largest)
    entries: list[str] = []
    last, more = "", False
    for name in sorted(name for name in bucket.blobs if name.startswith(prefix) and name > after):
        folder, found, _ = name[len(prefix) :].partition("/")
        common = prefix + folder + "/" if found and "delimiter" in query else None
        if common and (after.startswith(common) or (entries and last.startswith(common))):
            last = name
            continue
        if len(entries) == most:
            more = True
            break
        entries.append(_element("CommonPrefixes", Prefix=common) if common else _entry(name, bucket.blobs[name]))
        last = name
    token = {"NextContinuationToken": base64.urlsafe_b64encode(last.encode()).decode()} if more else {}
    told = {"Name": asked.bucket, "Prefix": prefix, "KeyCount": str(len(entries)), "MaxKeys": str(most)}
    head = _tags(**told, IsTruncated=str(more).lower(), **token)
    return Answer(200, {"Content-Type": "application/xml"}, _document("ListBucketResult", head + "".join(entries)))


def _entry(name: str, blob: Blob) -> str:
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(blob.modified)) + ".000Z"
    told = {"Key": name, "Generation": str(blob.generation), "MetaGeneration": "1", "LastModified": when}
    return _element("Contents", **told, ETag=blob.etag, Size=str(len(blob.data)))


def _facts(blob: Blob) -> dict[str, str]:
    return {"ETag": blob.etag, "x-goog-generation": str(blob.generation), "x-goog-metageneration": "1"}


def _stored(asked: Asked) -> dict[str, str]:
    return {name: value for name, value in asked.headers.items() if name.startswith(META) or name == "content-type"}


def _body(asked: Asked) -> list[ElementTree.Element]:
    try:
        return list(ElementTree.fromstring(asked.body))
    except ElementTree.ParseError as error:
        raise Refusal(400, "MalformedCompleteMultipartUploadRequest", str(error)) from error


def _tags(**given: str) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in given.items())


def _element(name: str, **given: str) -> str:
    return f"<{name}>{_tags(**given)}</{name}>"


def _document(name: str, content: str) -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{head}<{name} xmlns='http://doc.s3.amazonaws.com/2006-03-01'>{content}</{name}>".encode()


def _xml(name: str, **given: str) -> Answer:
    return Answer(200, {"Content-Type": "application/xml"}, _document(name, _tags(**given)))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    gcs: GcsServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        bucket, _, name = place.path.removeprefix("/").partition("/")
        query = {key.lower(): value for key, value in parse_qsl(place.query, keep_blank_values=True)}
        headers = {key.lower(): value for key, value in self.headers.items()}
        try:
            if self.command in ("PUT", "POST") and "content-length" not in headers:
                self.close_connection = True
                raise Refusal(411, "MissingContentLength")
            size = int(headers.get("content-length") or 0)
            body = self.rfile.read(size)
            if len(body) != size:  # the client hung up: nothing is stored
                self.close_connection = True
                return
            answer = self.gcs.answer(Asked(self.command, unquote(bucket), unquote(name), query, headers, body))
        except Refusal as error:
            told = _document("Error", _tags(Code=error.code, Message=error.message))
            answer = Answer(error.status, {"Content-Type": "application/xml"}, told)
        self.gcs.requests.append((self.command, self.path, answer.status))
        self.send_response(answer.status)
        for key, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815


class _Threads(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that disconnect."""


@contextmanager
def gcs_server() -> Iterator[GcsServer]:
    """Runs it until the end of the block."""
    gcs = GcsServer()
    server = _Threads(("127.0.0.1", 0), type("Handler", (_Handler,), {"gcs": gcs}))
    gcs.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="gcs-server", daemon=True)
    thread.start()
    try:
        yield gcs
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    """Starts the server with an empty bucket `bucket`, and the environment for its clients."""
    with gcs_server() as server:
        server.create("bucket")
        for name in [name for name in os.environ if name.startswith(("GOOGLE_", "STORAGE_EMULATOR_HOST"))]:
            monkeypatch.delenv(name)
        for name, value in server.environment_at(server.url).items():
            monkeypatch.setenv(name, value)
        yield server
