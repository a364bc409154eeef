"""A browser of the tests: asks the application in this process, and reads what a page would load or run."""

from collections.abc import Callable
from html.parser import HTMLParser
from itertools import count

from starlette.testclient import TestClient

from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.browse.server.app import make_app
from tagmill.browse.server.site import Site

PORT = 8321


def visit(url: str, clock: Callable[[], float] | None = None, max_age: float = 0.0) -> TestClient:
    """Returns a client of the pages of a corpus; its takedown list is read at each request unless `max_age` says else."""
    ticks = count()
    watch = CorpusWatch(url, None, clock=lambda: float(next(ticks)), max_age=max_age)
    app = make_app(Site(watch, clock or (lambda: 0.0)), PORT)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)


class Page(HTMLParser):
    """What a page has: its links by text, the addresses that it loads, its words, and elements that could run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.loads: list[str] = []
        self.words: list[str] = []
        self.suspect: list[str] = []
        self._link = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [value or "" for name, value in attrs if name in ("src", "srcset", "action")]
        self.loads += [given.get("href") or ""] if tag == "link" else []
        self.suspect += [f"{tag} {name}" for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag in ("iframe", "object", "embed", "style", "base", "svg") or (tag == "script" and "src" not in given):
            self.suspect.append(tag)
        if tag == "a":
            self._link = given.get("href") or ""
            self.loads.append(self._link)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._link and data.strip():
            self.links.setdefault(data.strip(), self._link)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
