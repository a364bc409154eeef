"""The driver of hf://: the files of datasets and models on the Hugging Face Hub, for reading only.

| address | what it names |
| --- | --- |
| `hf://datasets/OWNER/NAME/path` | a file or folder of a dataset, as it is now (revision `main`) |
| `hf://datasets/OWNER/NAME@REVISION/path` | the same of a branch, a tag or a commit, with `%2F` for a slash in its name |
| `hf://OWNER/NAME/path` | a file or folder of a model |

| variable | what it sets |
| --- | --- |
| `HF_TOKEN` | the token; without it the one of `hf auth login` |
| `HF_ENDPOINT` | another address of the Hub |

huggingface_hub parses addresses, finds the token and has the connections. Its filesystem for fsspec is not used: it
repeats each request up to five times, and we repeat a failed one in one place (`retry`); and its ranges need a
listing of the folder first.
"""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from urllib.parse import quote

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.listing import Page
from tagmill.shards.storage.remote.clients import CONNECT_SECONDS, SILENCE_SECONDS

HUB = "https://huggingface.co"
MAIN = "main"
_EXTENT = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_FORM = "give hf://datasets/OWNER/NAME/PATH, with @REVISION after NAME for another revision than main"
_READ_ONLY = "write to a folder or a bucket, then upload it: hf upload OWNER/NAME FOLDER --repo-type dataset"


@dataclass(frozen=True)
class HubDriver:
    """The whole Hub: a path begins with the repository, as `datasets/OWNER/NAME/...`."""

    hedged: ClassVar[bool] = False  # the Hub limits requests
    bulk: ClassVar[int] = 1

    def size(self, path: str) -> int:
        """By a range of one byte: answers to HEAD may be those of a redirect."""
        return self.read_range(path, 0, 1)[1]

    def read(self, path: str) -> bytes:
        with _connected(path):
            return bytes(_request(_url_of(path)).content)

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, int]:
        with _connected(path):
            answer = _request(_url_of(path), {"Range": f"bytes={start}-{stop - 1}"}, taken=(416,))
        if answer.status_code == 200:  # a service may ignore ranges of small files
            return answer.content[start:stop], len(answer.content)
        extent = _EXTENT.fullmatch(answer.headers.get("Content-Range", ""))
        if extent is None or (answer.status_code == 206 and int(extent[1] or -1) != start):
            raise OSError(errno.EIO, f"an answer to bytes {start}-{stop} with {answer.headers.get('Content-Range')!r}")
        size, data = int(extent[3]), b"" if answer.status_code == 416 else answer.content
        if len(data) != max(0, min(stop, size) - start):
            raise OSError(errno.EIO, f"{len(data)} of {min(stop, size) - start} bytes arrived")
        return data, size

    def page(self, folder: str, after: Any) -> Page:
        """`after` is the address of the page, which the page before had given."""
        objects, _, following = self._tree(folder, after, recursive=True)
        return Page(objects, [], following)

    def folder(self, folder: str) -> Page:
        objects, folders, following = self._tree(folder, None, recursive=False)
        while following is not None:
            more, others, following = self._tree(folder, following, recursive=False)
            objects, folders = objects + more, folders + others
        return Page(objects, folders)

    def _tree(
        self, folder: str, after: str | None, *, recursive: bool
    ) -> tuple[list[tuple[str, int]], list[str], str | None]:
        root, found = _parsed(folder.rstrip("/"))
        inside = found.path_in_repo
        where = f"{_hub()}/api/{found.type}s/{found.id}/tree/{quote(found.revision or MAIN, safe='')}"
        where += f"/{quote(inside, safe='')}" if inside else ""
        with _connected(folder):
            answer = _request(after or f"{where}?recursive={str(recursive).lower()}&expand=false")
        entries = [each for each in answer.json() if each["path"].startswith(f"{inside}/" if inside else "")]
        objects = [(f"{root}/{each['path']}", int(each["size"])) for each in entries if each["type"] == "file"]
        folders = [f"{root}/{each['path']}/" for each in entries if each["type"] == "directory"]
        return objects, folders, answer.links.get("next", {}).get("url")

    def put(self, path: str, source: bytes | Path) -> None:
        _refuse(path)

    def create(self, path: str, data: bytes, mark: str) -> None:
        _refuse(path)

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        _refuse(path)

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        _refuse(path)

    def delete(self, path: str) -> None:
        _refuse(path)

    def delete_many(self, paths: Sequence[str]) -> None:
        _refuse(paths[0])

    def renew(self) -> None:
        """A token is read again for every request."""


def _refuse(path: str) -> NoReturn:
    raise StoreError("hf:// is for reading only", f"hf://{path}", _READ_ONLY)


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


@lru_cache(maxsize=1024)
def _parsed(path: str) -> tuple[str, Any]:
    """Returns the beginning of a path that names the repository, and the parsed address. Raises StoreError."""
    with _connected(path):
        from huggingface_hub.errors import HfUriError
        from huggingface_hub.utils import parse_hf_uri

        try:
            found = parse_hf_uri(f"hf://{path}")
        except HfUriError as error:
            raise StoreError("an address without a repository", f"hf://{path}", _FORM) from error
    if found.type not in ("dataset", "model", "space"):
        raise StoreError(f"hf:// does not read a {found.type}", f"hf://{path}", _FORM)
    return path.removesuffix(found.path_in_repo).rstrip("/"), found


def _url_of(path: str) -> str:
    from huggingface_hub import hf_hub_url

    _, found = _parsed(path)
    if not found.path_in_repo:
        raise FileNotFoundError(errno.ENOENT, "a repository is no object", path)
    given = {"repo_type": found.type, "revision": found.revision, "endpoint": _hub()}
    return str(hf_hub_url(found.id, found.path_in_repo, **given))


def _request(url: str, headers: dict[str, str] | None = None, taken: tuple[int, ...] = ()) -> Any:
    """Makes one request, and others only where it is redirected to; the token goes to the Hub alone. Raises the
    library's error for a status of 400 and more that is not `taken`."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    # Ranges are those of the file, not of a packed answer.
    given = {**build_hf_headers(library_name="tagmill"), "Accept-Encoding": "identity", **(headers or {})}
    waits = (CONNECT_SECONDS, SILENCE_SECONDS, SILENCE_SECONDS, SILENCE_SECONDS)  # connect, read, write, pool
    answer = get_session().get(url, headers=given, timeout=waits, follow_redirects=True)
    if answer.status_code not in taken:
        hf_raise_for_status(answer)
    return answer


@contextmanager
def _connected(path: str) -> Iterator[None]:
    """Raises StoreError if the library is missing or in its offline mode."""
    try:
        from huggingface_hub.errors import OfflineModeIsEnabled
    except ImportError as error:
        what = f"cannot connect to this store: {error}"
        raise StoreError(what, f"hf://{path}", "pip install 'tagmill[hf]'") from error
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise StoreError("huggingface_hub is offline", f"hf://{path}", "unset HF_HUB_OFFLINE") from error
