"""A stand-in for the Hugging Face Hub, in threads of this process: what huggingface_hub and hf:// ask of it.

No test reaches the real Hub. What this one does is what huggingface_hub's code expects of it:

* `/api/datasets/OWNER/NAME/tree/REVISION/PATH` lists in pages; a Link header with rel="next" names the next one.
* `/datasets/OWNER/NAME/resolve/REVISION/PATH` answers a small file itself, and sends the reader of a large one by 302 to
  an address of another host, which is signed and has ranges; the length is in X-Linked-Size. The token must not follow.
* X-Error-Code says what is missing; an unknown repository is a 401 for those without a token.

A path, method or parameter that it does not know is a 400.

    with hub_server() as hub:
        hub.files["datasets/owner/name", "main"] = {"a.parquet": b"..."}
        ...  # HF_ENDPOINT=hub.url; hub.asked lists the requests
"""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_TREE = re.compile(r"/api/(datasets|models)/([^/]+/[^/]+)/tree/([^/]+)(?:/(.*))?")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
SIGNATURE = "Signature=ours"


@dataclass
class HubServer:
    """`files`: by (repository with its kind, revision), then by path. `small`: largest file in bytes that the Hub sends
    itself, and `ranges`: whether it heeds ranges then. `page`: entries of a page. `token`: the one that is needed."""

    url: str = ""
    content_url: str = ""
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    small: int = 100
    ranges: bool = True
    page: int = 1000
    token: str | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # "hub" or "content", method, path
    leaked: list[str] = field(default_factory=list)  # tokens that were sent to the other host


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Runs it until the end of the block: the Hub, and the host with the content of large files."""
    hub = HubServer()
    with ExitStack() as stack:
        for kind in (_Hub, _Content):
            server = _Threads(("127.0.0.1", 0), type(kind.__name__, (kind,), {"hub": hub}))
            stack.callback(server.server_close)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            setattr(hub, kind.place, f"http://127.0.0.1:{server.server_port}")
        yield hub


class _Threads(http.server.ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that disconnect."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    hub: HubServer
    place = ""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.hub.asked.append(("hub" if self.place == "url" else "content", self.command, self.path))
        self.answer()

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        self.close_connection = True
        self.hub.asked.append(("hub", self.command, self.path))
        self.say(400, b"this stand-in is read only")

    do_PUT = do_DELETE = do_POST  # noqa: N815

    def answer(self) -> None:
        raise NotImplementedError

    def say(self, status: int, body: bytes = b"", **headers: Any) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send(self, data: bytes, *, ranges: bool = True, **headers: Any) -> None:
        """Sends a file or the range of it that was asked for."""
        assert self.headers.get("Accept-Encoding", "identity") == "identity", "a packed answer has other ranges"
        given = self.headers.get("Range")
        if given is None or not ranges:
            self.say(200, data, ETag='"e"', **headers)
            return
        extent = re.fullmatch(r"bytes=(\d+)-(\d+)", given)
        if extent is None:
            self.say(400, f"range: {given}".encode())
            return
        first, last = int(extent[1]), min(int(extent[2]), len(data) - 1)
        if first > last:
            self.say(416, Content_Range=f"bytes */{len(data)}")
        else:
            self.say(
                206, data[first : last + 1], ETag='"e"', Content_Range=f"bytes {first}-{last}/{len(data)}", **headers
            )


class _Hub(_Handler):
    place = "url"

    def answer(self) -> None:
        place = urlsplit(self.path)
        query = dict(parse_qsl(place.query, keep_blank_values=True))
        if self.hub.token is not None and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self.say(401, X_Error_Message="Invalid credentials in Authorization header")
        elif found := _TREE.fullmatch(place.path):
            self.tree(found, query)
        elif (found := _FILE.fullmatch(place.path)) and not query:
            self.file(found)
        else:
            self.say(400, f"this stand-in does not know {self.path}".encode())

    def repository(self, kind: str | None, name: str, revision: str) -> dict[str, bytes] | None:
        """Returns the files of a revision; None after an answer that says why there are none."""
        repository = f"datasets/{name}" if kind == "datasets" else name
        if not any(each == repository for each, _ in self.hub.files):
            status = 404 if self.headers.get("Authorization") else 401
            self.say(status, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return None
        found = self.hub.files.get((repository, unquote(revision)))
        if found is None:
            self.say(404, X_Error_Code="RevisionNotFound", X_Error_Message="Invalid rev id")
        return found

    def tree(self, found: re.Match[str], query: dict[str, str]) -> None:
        files = self.repository(found[1], found[2], found[3])
        if files is None:
            return
        if set(query) - {"recursive", "expand", "cursor", "limit"}:
            self.say(400, b"parameters")
            return
        folder = unquote(found[4] or "").rstrip("/")
        stem = f"{folder}/" if folder else ""
        inside = [path for path in files if path.startswith(stem)]
        folders = {path[:end] for path in inside for end in range(len(stem), len(path)) if path[end] == "/"}
        if not inside:
            self.say(404, X_Error_Code="EntryNotFound", X_Error_Message=f"{folder} does not exist")
            return
        entries = {path: {"type": "file", "path": path, "size": len(files[path]), "oid": "f"} for path in inside}
        entries |= {path: {"type": "directory", "path": path, "size": 0, "oid": "d"} for path in folders}
        if query.get("recursive") != "true":
            entries = {path: each for path, each in entries.items() if "/" not in path[len(stem) :]}
        after = query.get("cursor", "")
        names = sorted(path for path in entries if path > after)
        page = names[: self.hub.page]
        following = {}
        if len(page) < len(names):
            asked = "&".join(f"{key}={value}" for key, value in query.items() if key != "cursor")
            where = f"{self.hub.url}{urlsplit(self.path).path}?{asked}&cursor={quote(page[-1], safe='')}"
            following = {"Link": f'<{where}>; rel="next"'}
        self.say(
            200, json.dumps([entries[name] for name in page]).encode(), Content_Type="application/json", **following
        )

    def file(self, found: re.Match[str]) -> None:
        files = self.repository(found[1], found[2], found[3])
        if files is None:
            return
        name = unquote(found[4])
        if name not in files:
            self.say(404, X_Error_Code="EntryNotFound", X_Error_Message="Entry not found")
            return
        data, told = files[name], {"X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        if len(data) <= self.hub.small:
            self.send(data, ranges=self.hub.ranges, **told)
            return
        repository = f"datasets/{found[2]}" if found[1] else found[2]
        where = f"{self.hub.content_url}/{quote(repository, safe='')}/{found[3]}/{quote(name)}?{SIGNATURE}"
        self.say(302, Location=where, X_Linked_Size=len(data), X_Linked_ETag='"e"', **told)


class _Content(_Handler):
    """The other host: no token is needed, but the signature in the address."""

    place = "content_url"

    def answer(self) -> None:
        if token := self.headers.get("Authorization"):
            self.hub.leaked.append(token)
        place = urlsplit(self.path)
        repository, revision, name = place.path.removeprefix("/").split("/", 2)
        if place.query != SIGNATURE:
            self.say(403, b"signature")
        else:
            self.send(self.hub.files[unquote(repository), unquote(revision)][unquote(name)])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Starts the server, and makes it the Hub of this process; no token of the user is sent to it."""
    pytest.importorskip("huggingface_hub", reason="hf:// needs huggingface_hub")
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server
