"""What the pages of one server share: the corpus, the clock, the templates, and how an answer is made."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, get_args

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tagmill.browse.search.query import By
from tagmill.browse.search.snapshot import CorpusWatch, Snapshot
from tagmill.browse.server import links
from tagmill.pages.templates import page_environment, visible
from tagmill.shards.errors import ConfigError, IntegrityError, StoreError, TagmillError, TakenDownError

if TYPE_CHECKING:
    from jinja2 import Environment

SEARCHES = {
    "label": "label",
    "synset": "synset and below",
    "tag": "tag",
    "host": "host",
    "key": "key",
}  # in the form; By has two more, for links
assert set(SEARCHES) < set(get_args(By))
MAX_DIGITS = 9  # of a number in an address


@dataclass(frozen=True)
class Site:
    """A corpus that is shown."""

    watch: CorpusWatch
    clock: Callable[[], float] = field(default=time.monotonic)

    @cached_property
    def _templates(self) -> "Environment":
        environment = page_environment("tagmill.browse.server")
        environment.filters["counted"] = _counted
        environment.globals.update(
            {
                "find": links.find_link,
                "sample_at": links.sample_link,
                "picture_at": links.picture_link,
                "synset_at": links.synset_link,
                "labels_at": links.labels_link,
                "rejects_at": links.rejects_link,
                "searches": SEARCHES,
            }
        )
        return environment

    def page(
        self, name: str, snapshot: Snapshot | None, values: Mapping[str, object], status: int = 200
    ) -> HTMLResponse:
        """Returns the answer made from a template; `snapshot` is None where the corpus cannot be read."""
        shown = {
            "corpus_name": snapshot.corpus.file.name if snapshot else "",
            "address": self.watch.url,
            "views": snapshot.view_names if snapshot else [],
            "by": "label",
            "q": "",
            "view": "",
            **values,
        }
        return HTMLResponse(self._templates.get_template(f"templates/{name}.html").render(shown), status)

    def error_page(self, request: Request, error: TagmillError) -> HTMLResponse:
        """Returns the answer for a request that cannot be fulfilled: what is wrong, where, and the remedy."""
        try:
            snapshot = self.watch.now()
        except TagmillError:
            snapshot = None
        asked = {name: request.query_params[name] for name in ("by", "q", "view") if name in request.query_params}
        values = {**asked, "what": error.what, "where": error.where, "remedy": error.remedy}
        return self.page("error", snapshot, values, status_of(error))


def status_of(error: TagmillError) -> int:
    """Returns the HTTP status of an error."""
    if isinstance(error, TakenDownError):
        return 410
    if isinstance(error, ConfigError):
        return 400
    if isinstance(error, StoreError):
        return 503
    return 502 if isinstance(error, IntegrityError) else 404


def view_of(request: Request, snapshot: Snapshot) -> str:
    """Returns the view that a request asks for; the corpus's first one by default."""
    return request.query_params.get("view") or next(iter(snapshot.view_names), "default")


def number_in(text: str) -> int:
    """Parses a number of an address; empty text is 0. Raises ConfigError for other text."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ConfigError(f"no number {visible(text, 40)!r}", "address", "follow the links of the first page")
    return int(text or 0)


def _counted(value: object) -> str:
    """Returns a number with separators, and any other value as text: files that were altered hold anything."""
    return f"{value:,}" if isinstance(value, int | float) else visible(value)
