"""A page that is one file: its style and its images are inside, it runs no script, and it asks the network for nothing."""

import base64
import hashlib
from collections.abc import Mapping

from tagmill.pages.templates import render

PAGE_BYTES = 5_000_000  # of the file, at most
PICTURE_BYTES = 3_500_000  # of its images in base64; the rest is text, whose lengths are bounded


class PictureBudget:
    """Gives images as data URLs until the page has as many bytes of them as it may."""

    def __init__(self, most: int = PICTURE_BYTES) -> None:
        self.left = most
        self.left_out = 0  # images

    def data_url(self, jpeg: bytes | None) -> str | None:
        """Returns an image for `src`; None without an image, and where the page has enough."""
        if jpeg is None:
            return None
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        if len(url) > self.left:
            self.left_out += 1
            return None
        self.left -= len(url)
        return url


def standalone_page(package: str, name: str, values: Mapping[str, object]) -> bytes:
    """Returns a page as UTF-8 from the template `name` of a package, which gets these values and `style`, `policy` (a content
    security policy that allows this style and images inside the page), `budget` and `share`."""
    style = render("tagmill.pages", "page.css", {})
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    given = {"style": style, "policy": policy, "budget": PictureBudget(), "share": share_of}
    return render(package, name, {**given, **values}).encode("utf-8", "replace")


def share_of(part: float, whole: float) -> float:
    """Returns part / whole, 0 to 1; 0 of nothing."""
    return min(1.0, part / whole) if whole else 0.0
