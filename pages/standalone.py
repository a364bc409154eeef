"""A page that is one file: its style and its images are inside, it runs no script, and it asks the network for nothing."""

import base64
import hashlib
from collections.abc import Mapping

from tagmill.pages.templates import render
from tagmill.shards import TagmillError

PAGE_BYTES = 5_000_000  # of the file, at most


class PictureBudget:
    """Gives images as data URLs until the page has as many bytes of them as it may, `most`."""

    def __init__(self, most: int) -> None:
        self.given = 0  # bytes
        self.left_out = 0  # images
        self._most = most

    def data_url(self, jpeg: bytes | None) -> str | None:
        """Returns an image for `src`; None without an image, and where the page has enough."""
        if jpeg is None:
            return None
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        if self.given + len(url) > self._most:
            self.left_out += 1
            return None
        self.given += len(url)
        return url


def standalone_page(package: str, name: str, values: Mapping[str, object], most: int = PAGE_BYTES) -> bytes:
    """Returns a page as UTF-8, at most `most` bytes: images are left out until it fits, and `budget` counts them.

    The template `name` of a package gets these values and `style`, `policy` (a content security policy that allows this style
    and images inside the page), `budget` and `share`. Raises TagmillError where the text alone is longer.
    """
    style = render("tagmill.pages", "page.css", {})
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    given, room = {"style": style, "policy": policy, "share": share_of}, most
    while True:
        budget = PictureBudget(room)
        page = render(package, name, {**given, "budget": budget, **values}).encode("utf-8", "replace")
        if len(page) <= most:
            return page
        if not budget.given:
            what = f"a page of {len(page):,} bytes without its images, more than {most:,}"
            raise TagmillError(what, name, "report this: its texts should be bounded")
        room = max(0, budget.given - (len(page) - most))


def share_of(part: float, whole: float) -> float:
    """Returns part / whole, 0 to 1; 0 of nothing."""
    return min(1.0, part / whole) if whole else 0.0
