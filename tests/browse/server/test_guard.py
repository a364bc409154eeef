"""Requests that are refused, and what every answer forbids."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tagmill.browse.server.guard import HEADERS
from tests.browse.server.visitor import PORT, visit
from tests.shards.corpora import make_corpus

PATHS = [
    "/",
    "/labels",
    "/find?by=all",
    "/sample/000000/0",
    "/picture/000000/0",
    "/static/browse.js",
    "/none",
    "/find?by=x",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder: Path = tmp_path_factory.mktemp("corpus")
    return visit(make_corpus(str(folder / "corpus"), folder / "spool").store.url)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_scripts_and_loads_of_others(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "img-src 'self'", "style-src 'self'", "script-src 'self'"} < set(policy)
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host",
    ["example.org", f"example.org:{PORT}", "127.0.0.1", "127.0.0.1:80", f"127.0.0.1.example.org:{PORT}", "", "[::1]"],
)
@pytest.mark.parametrize("path", PATHS)
def test_another_host_is_refused_before_anything_is_read(client: TestClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 421 and "tagmill corpus browse" in answer.text


def test_localhost_is_this_machine(client: TestClient) -> None:
    assert client.get("/", headers={"host": f"LOCALHOST:{PORT}"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_only_reading_is_allowed(client: TestClient, method: str) -> None:
    answer = client.request(method, "/find")
    assert answer.status_code == 405 and answer.headers["allow"] == "GET, HEAD"


def test_head_has_no_body(client: TestClient) -> None:
    answer = client.head("/")
    assert answer.status_code == 200 and not answer.content


def test_no_other_site_can_embed_an_image_but_its_links_open(client: TestClient) -> None:
    embedded = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}
    assert client.get("/picture/000000/0", headers=embedded).status_code == 403
    followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=followed).status_code == 200
    own = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}
    assert client.get("/", headers=own).status_code == 200
