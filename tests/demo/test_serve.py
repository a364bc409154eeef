import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tagmill.demo.serve import Answer, answers, serve
from tagmill.shards.errors import TagmillError

Truth = list[dict[str, Any]]


@pytest.fixture(scope="module")
def place(web: Path) -> Iterator[tuple[str, int]]:
    with serve(web) as base_url:
        parts = urlsplit(base_url)
        assert parts.hostname == "127.0.0.1" and parts.port
        yield parts.hostname, parts.port


def row_of(truth: Truth, kind: str) -> dict[str, Any]:
    return next(row for row in truth if row["kind"] == kind)


def get(place: tuple[str, int], path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(*place, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def raw(place: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(place, timeout=10) as link:
        link.sendall(request)
        received = b""
        while piece := link.recv(65536):
            received += piece
    return received


def test_images_are_served_with_their_type_over_one_connection(place: tuple[str, int], web: Path, truth: Truth) -> None:
    connection = http.client.HTTPConnection(*place, timeout=10)
    formats = {row["format"]: row for row in truth if row["kind"] == "picture"}
    for name, row in formats.items():
        connection.request("GET", row["path"])
        link = connection.sock
        response = connection.getresponse()
        assert response.status == 200 and response.getheader("Connection") == "keep-alive"
        assert response.getheader("Content-Type") == "image/" + name.split("_")[0]
        assert response.read() == (web / "pictures" / row["file"]).read_bytes()
        assert connection.sock is link
    connection.close()


def test_head_gives_the_length_and_no_body(place: tuple[str, int], web: Path, truth: Truth) -> None:
    row = row_of(truth, "picture")
    response, body = get(place, row["path"] + "?size=big", "HEAD")
    assert response.status == 200 and body == b""
    assert int(response.getheader("Content-Length") or 0) == (web / "pictures" / row["file"]).stat().st_size


def test_many_connections_at_once(place: tuple[str, int], truth: Truth) -> None:
    links = [http.client.HTTPConnection(*place, timeout=10) for _ in range(50)]
    path = row_of(truth, "picture")["path"]
    for link in links:
        link.request("GET", path)
    bodies = [link.getresponse().read() for link in reversed(links)]
    assert len(set(bodies)) == 1 and len(bodies[0]) > 1000
    for link in links:
        link.close()


def test_broken_404_html_and_empty(place: tuple[str, int], truth: Truth) -> None:
    assert get(place, row_of(truth, "broken_404")["path"])[0].status == 404
    response, body = get(place, row_of(truth, "broken_html")["path"])
    assert response.getheader("Content-Type") == "image/jpeg" and b"<html>" in body
    response, body = get(place, row_of(truth, "broken_empty")["path"])
    assert (response.status, response.getheader("Content-Length"), body) == (200, "0", b"")


def test_truncated_has_its_true_length_and_cut_off_has_not(place: tuple[str, int], truth: Truth) -> None:
    response, body = get(place, row_of(truth, "broken_truncated")["path"])
    assert len(body) == int(response.getheader("Content-Length") or 0) and not body.endswith(b"\xff\xd9")
    with pytest.raises(http.client.IncompleteRead):
        get(place, row_of(truth, "broken_cut_off")["path"])


def test_huge_header_is_more_than_a_client_takes(place: tuple[str, int], truth: Truth) -> None:
    path = row_of(truth, "broken_huge_header")["path"]
    with pytest.raises(http.client.LineTooLong):
        get(place, path)
    head, _, body = raw(place, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and len(head) > 64 * 1024 and body.endswith(b"\xff\xd9")


def test_slow_drips_and_does_not_end(place: tuple[str, int], truth: Truth) -> None:
    with socket.create_connection(place, timeout=10) as link:
        link.sendall(f"GET {row_of(truth, 'broken_slow')['path']} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while len(received.partition(b"\r\n\r\n")[2]) < 2:
            received += link.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        assert b"200 OK" in head and len(body) < 100


@pytest.mark.parametrize(
    "path",
    ["/../truth.json", "/pictures/../../truth.json", "/%2e%2e/truth.json", "//etc/passwd", "/truth.parquet", "*"],
)
def test_no_path_reaches_the_file_system(place: tuple[str, int], path: str) -> None:
    assert raw(place, f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / FTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /robots.txt HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_odd_requests_are_answered_and_the_connection_closed(
    place: tuple[str, int], request_bytes: bytes, status: bytes
) -> None:
    assert raw(place, request_bytes).startswith(b"HTTP/1.1 " + status)


def test_requests_are_counted_and_the_server_ends_with_the_block(web: Path, truth: Truth) -> None:
    row = row_of(truth, "picture")
    with serve(web) as base_url:
        place = ("127.0.0.1", urlsplit(base_url).port or 0)
        for path in (row["path"], row["path"], "/robots.txt", "/nowhere", "/elsewhere"):
            get(place, path)
        slow = socket.create_connection(place, timeout=10)
        slow.sendall(f"GET {row_of(truth, 'broken_slow')['path']} HTTP/1.1\r\n\r\n".encode())
        slow.recv(10)
    counts = json.loads((web / "requests.json").read_text())
    slow.close()
    assert counts == {row["path"]: 2, "/robots.txt": 1, "(unknown)": 2, row_of(truth, "broken_slow")["path"]: 1}
    with pytest.raises(OSError):
        socket.create_connection(place, timeout=2).close()


def test_the_server_ends_when_the_block_raises(web: Path) -> None:
    with pytest.raises(ZeroDivisionError), serve(web) as base_url:
        place = ("127.0.0.1", urlsplit(base_url).port or 0)
        raise ZeroDivisionError
    with pytest.raises(OSError):
        socket.create_connection(place, timeout=2).close()


def test_a_taken_port_is_named(web: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TagmillError, match=str(port)), serve(web, port):
            pass


def test_the_table_omits_paths_without_an_answer_of_their_own(web: Path, truth: Truth) -> None:
    table = answers(web)
    assert row_of(truth, "broken_404")["path"] not in table
    assert table[row_of(truth, "picture")["path"]].fault == ""
    assert isinstance(table[row_of(truth, "broken_slow")["path"]], Answer)
    assert {answer.fault for answer in table.values()} >= {"", "broken_slow", "broken_html", "broken_cut_off"}
