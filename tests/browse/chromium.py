"""Opens pages in a headless Chromium, and measures there what only a browser knows: requests, widths and contrast."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
WIDTHS = (360, 1440)  # pixels of a phone and of a screen
HEIGHT = 800
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, Scheme] = ("light", "dark")

# Text with too little contrast to what is behind it, by WCAG 2: relative luminance, 4.5 for text of any size.
LOW_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((each, n) => (each * a + below[n] * (255 - a)) / 255);
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.backgroundColor = "Canvas";
  const paper = rgba(getComputedStyle(probe).backgroundColor).slice(0, 3);
  probe.remove();
  const behind = (element) => element === null ? paper
    : over(rgba(getComputedStyle(element).backgroundColor), behind(element.parentElement));
  const light = (colour) => colour.map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, n) => sum + each * [0.2126, 0.7152, 0.0722][n], 0);
  const found = [], seen = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || seen.has(element) || !element.getClientRects().length) continue;
    seen.add(element);
    const style = getComputedStyle(element), back = behind(element);
    const front = over(rgba(element instanceof SVGElement ? style.fill : style.color), back);
    const [low, high] = [light(front), light(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName} ${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [seen.size, found];
}"""
TOO_WIDE = """() => {
  const all = document.documentElement;
  if (all.scrollWidth <= all.clientWidth) return [];
  const wide = [...document.querySelectorAll("body *")].filter((each) => !each.closest(".wide")
    && Math.max(each.getBoundingClientRect().right, each.scrollWidth) > all.clientWidth + 1);
  return [`${all.scrollWidth} pixels`, ...wide.slice(0, 5).map((each) => each.outerHTML.slice(0, 120))];
}"""


@dataclass(frozen=True)
class Seen:
    """A page, and what it did since it was made."""

    page: "Page"
    console: list[str] = field(default_factory=list)  # messages, among them those of the content security policy
    requests: list[str] = field(default_factory=list)  # addresses, but of `data:`

    def assert_quiet(self, *origins: str) -> None:
        """Asserts that the console has no message, and that nothing was asked for but from these origins."""
        assert not self.console
        assert self.requests and all(each.startswith(origins) for each in self.requests), self.requests

    def assert_readable(self) -> int:
        """Asserts that nothing is wider than the page at both widths, and that all text has contrast in both schemes;
        returns the number of elements whose text was looked at."""
        looked = 0
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": HEIGHT})
            wide = self.page.evaluate(TOO_WIDE)
            assert not wide, f"{self.page.url} at {width}: {wide}"
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            looked, faint = self.page.evaluate(LOW_CONTRAST)
            assert looked and not faint, f"{self.page.url} in {scheme}: {faint}"
        return looked


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Yields a headless Chromium; skips the test without playwright."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def new_page(browser: "Browser", **options: Any) -> Iterator[Seen]:
    """Yields an empty page of a profile of its own."""
    context = browser.new_context(viewport={"width": WIDTHS[1], "height": HEIGHT}, **options)
    context.set_default_timeout(60_000)
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.console.append(message.text))
    seen.page.on("pageerror", lambda error: seen.console.append(str(error)))
    seen.page.on("dialog", lambda dialog: (seen.console.append(f"dialog {dialog.message}"), dialog.dismiss()))
    seen.page.on("request", lambda request: seen.requests.append(request.url) if request.url[:5] != "data:" else None)
    yield seen
    context.close()


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """Yields the address of a server on loopback, and the list of the requests that it gets."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()
    thread.join()
