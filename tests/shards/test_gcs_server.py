"""Tests the stand-in for Google Cloud Storage: what it enforces, by requests that a client of ours would not send."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import pytest

from tests.shards.gcs_server import CONDITION, GcsServer, gcs_server


@pytest.fixture
def server() -> Iterator[GcsServer]:
    with gcs_server() as server:
        server.create("bucket")
        yield server


def ask(
    server: GcsServer, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Returns the status, the headers and the body; underscores in the names of `headers` are hyphens."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"/bucket{path}", body or (b"" if method in ("PUT", "POST") else None), given)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def put(server: GcsServer, name: str, body: bytes = b"x", condition: str | None = None) -> tuple[int, str]:
    """Returns the status and the generation."""
    headers = {} if condition is None else {CONDITION: condition}
    status, told, _ = ask(server, "PUT", f"/{name}", body, **headers)
    return status, told.get("x-goog-generation", "")


def names(page: bytes) -> list[str]:
    return found(page, "Key")


def found(page: bytes, tag: str) -> list[str]:
    return [str(each.text) for each in ElementTree.fromstring(page).iter() if each.tag.endswith(f"}}{tag}")]


def test_a_condition_is_the_generation_that_is_there(server: GcsServer) -> None:
    status, first = put(server, "a", b"one", "0")
    assert status == 200 and int(first) > 0
    assert put(server, "a", b"two", "0") == (412, "")
    status, second = put(server, "a", b"two", first)
    assert status == 200 and int(second) > int(first)
    assert put(server, "a", b"three", first)[0] == 412
    assert put(server, "none", b"x", first)[0] == 412
    assert put(server, "a", b"x", "any")[0] == 400
    assert ask(server, "GET", "/a", **{CONDITION: first})[0] == 412
    assert ask(server, "GET", f"/a?generation={first}")[0] == 404
    assert ask(server, "GET", f"/a?generation={second}")[2] == b"two"
    assert ask(server, "DELETE", "/a", **{CONDITION: first})[0] == 412
    assert ask(server, "DELETE", "/a", **{CONDITION: second})[0] == 204
    assert ask(server, "DELETE", "/a")[0] == 404 and ask(server, "GET", "/a")[0] == 404


def test_one_of_many_conditional_puts_wins(server: GcsServer) -> None:
    for turn in range(20):
        with ThreadPoolExecutor(8) as pool:
            ended = list(pool.map(lambda i, turn=turn: put(server, f"race/{turn}", b"%d" % i, "0")[0], range(8)))
        assert sorted(ended) == [200] + [412] * 7


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("PUT", "/a", {"If-None-Match": "*"}),
        ("PUT", "/a", {"x-goog-if-metageneration-match": "1"}),
        ("PUT", "/a", {"x-goog-copy-source": "bucket/b"}),
        ("GET", "/a", {"If-Match": '"x"'}),
        ("GET", "/a?versions", {}),
        ("GET", "/a", {"Range": "bytes=1-2,5-6"}),
        ("DELETE", "/a?generation=1", {}),
        ("GET", "?list-type=1", {}),
        ("GET", "?list-type=2&startFrom=a", {}),
        ("GET", "?list-type=2&continuation-token=%ff%ff", {}),
    ],
)
def test_what_is_not_known_is_refused(server: GcsServer, method: str, path: str, headers: dict[str, str]) -> None:
    put(server, "a", b"0123456789")
    assert ask(server, method, path, **headers)[0] == 400
    assert ask(server, "GET", "/a")[2] == b"0123456789"


@pytest.mark.parametrize(
    ("asked", "status", "body", "extent"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=10-12", 416, None, None),
    ],
)
def test_ranges(server: GcsServer, asked: str, status: int, body: bytes | None, extent: str | None) -> None:
    put(server, "a", b"0123456789")
    found_status, headers, found_body = ask(server, "GET", "/a", Range=asked)
    assert (found_status, headers.get("content-range")) == (status, extent)
    assert body is None or found_body == body


def test_metadata_is_returned(server: GcsServer) -> None:
    ask(server, "PUT", "/a", b"x", **{"x-goog-meta-mark": "me"})
    status, headers, body = ask(server, "HEAD", "/a")
    assert (status, headers["x-goog-meta-mark"], headers["content-length"], body) == (200, "me", "1", b"")


def test_listings_have_pages(server: GcsServer) -> None:
    server.page = 2
    for name in ("a", "b/1", "b/2", "c", "d"):
        put(server, name)
    seen, token = [], ""
    while True:
        page = ask(server, "GET", f"?list-type=2{token}")[2]
        seen.append(names(page))
        if found(page, "IsTruncated") == ["false"]:
            break
        token = f"&continuation-token={found(page, 'NextContinuationToken')[0]}"
    assert seen == [["a", "b/1"], ["b/2", "c"], ["d"]]
    server.page = 1000
    page = ask(server, "GET", "?list-type=2&delimiter=/&start-after=a")[2]
    assert names(page) == ["c", "d"] and "b/" in found(page, "Prefix")
    assert names(ask(server, "GET", "?list-type=2&prefix=b/&start-after=b/1")[2]) == ["b/2"]


def test_a_request_needs_its_bucket_its_token_and_who_pays(server: GcsServer) -> None:
    put(server, "a")
    server.token = "t"
    assert ask(server, "GET", "/a")[0] == 401
    assert ask(server, "GET", "/a", Authorization="Bearer t")[0] == 200
    server.token = None
    server.buckets["bucket"].payer = "project"
    assert ask(server, "GET", "/a")[0] == 400
    assert ask(server, "GET", "/a", **{"x-goog-user-project": "project"})[0] == 200
    server.buckets.clear()
    status, _, told = ask(server, "GET", "/a")
    assert (status, found(told, "Code")) == (404, ["NoSuchBucket"])


def test_parts_of_an_upload_are_checked(server: GcsServer) -> None:
    token = found(ask(server, "POST", "/a?uploads")[2], "UploadId")[0]
    parts = [b"a" * (5 << 20), b"b"]
    tags = [ask(server, "PUT", f"/a?uploadId={token}&partNumber={i + 1}", parts[i])[1]["etag"] for i in range(2)]

    def complete(*order: int, tags: list[str] = tags, **headers: str) -> int:
        listed = "".join(f"<Part><PartNumber>{i + 1}</PartNumber><ETag>{tags[i]}</ETag></Part>" for i in order)
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        return ask(server, "POST", f"/a?uploadId={token}", body, **headers)[0]

    assert ask(server, "GET", "/a")[0] == 404, "nothing is visible before the end"
    assert complete(1, 0) == complete() == 400
    assert complete(0, 1, tags=tags[::-1]) == 400
    assert complete(0, 1, **{CONDITION: "5"}) == 412
    assert complete(0, 1) == 200 and ask(server, "GET", "/a")[2] == b"".join(parts)
    assert complete(0, 1) == 404, "an upload is completed once"
    token = found(ask(server, "POST", "/a?uploads")[2], "UploadId")[0]
    tags[:] = [ask(server, "PUT", f"/a?uploadId={token}&partNumber={i + 1}", b"small")[1]["etag"] for i in range(2)]
    assert complete(0, 1) == 400, "too small"
    assert ask(server, "DELETE", f"/a?uploadId={token}")[0] == 204 and complete(0) == 404
