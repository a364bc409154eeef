"""The page: what it shows, that no name does anything in it, and that a browser can show it."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tagmill.pages.standalone import PAGE_BYTES
from tagmill.transfer.report.error_images import error_images
from tagmill.transfer.report.page import detailed, transfer_page
from tests.browse.chromium import Seen, chromium, listening, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS, Structure
from tests.transfer.report.judged import FACTS, judged_on, named_set


def page_of(text: str, classes: int = 7, broken: Sequence[int] = range(3)) -> bytes:
    test = named_set(text, classes, undecodable=broken)
    judged = judged_on(test, text)
    errors = {each.digest: error_images(each.outcome, test, 20) for each in detailed(judged)}
    return transfer_page(FACTS, judged, errors, [f"a warning {text}"])


@pytest.fixture(scope="module")
def plain() -> bytes:
    return page_of("plain")


@pytest.fixture(scope="module")
def known() -> Structure:
    # Which errors are shown depends on the keys, so all images can be decoded here.
    return Structure(page_of("plain", broken=[]))


def test_it_shows_every_part(plain: bytes) -> None:
    page = plain.decode()
    for shown in ("few-shot, 5 a class", "random, seed 5", "class-3plain", "a warning plain", "0" * 64, "big_vision"):
        assert shown in page, shown
    elements = Structure(plain).elements
    assert not {"script", "iframe", "object", "form"} & {each[0] for each in elements}
    assert all("alt" in each for each in elements if each[0] == "img") and any(each[0] == "img" for each in elements)
    assert len([each for each in elements if each[0] == "table"]) == page.count("<caption>")
    assert "no image" in page, "of an image that cannot be decoded"


def test_the_policy_allows_the_style_of_the_page_only(plain: bytes) -> None:
    page = plain.decode()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None and " style=" not in page
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page.replace("&#39;", "'").replace("&#43;", "+")


@pytest.mark.parametrize("text", ["".join(ATTACKS), ATTACKS[1]])
def test_no_name_changes_the_page(text: str, known: Structure) -> None:
    found = Structure(page_of(f"x{text}", broken=[]))
    shapes = {"svg", "g", "path", "defs", "use", "clippath", "rect"}  # names are drawn as outlines
    assert [each for each in found.elements if each[0] not in shapes] == [
        each for each in known.elements if each[0] not in shapes
    ]
    assert all(each.startswith(("#", "data:image/jpeg;base64,", "data:,")) for each in found.addresses)
    hidden = [each for each in "".join(found.text) if unicodedata.category(each) in ("Cc", "Cf") and each != "\n"]
    assert not hidden


def test_many_classes_and_long_names_leave_a_bounded_page() -> None:
    assert len(page_of("<&\u202e" * 300, 110)) < PAGE_BYTES


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, str, list[str]]]:
    folder = tmp_path_factory.mktemp("page")
    with listening() as (address, requests):
        attack = f"<img src={address}/a><script src={address}/b></script><link rel=stylesheet href={address}/c>"
        file: Path = folder / "report.html"
        file.write_bytes(page_of(attack + "".join(ATTACKS) + "w" * 300))
        with chromium() as browser, new_page(browser) as seen:
            seen.page.goto(file.as_uri())
            yield seen, file.as_uri(), requests


@needs_chromium
@pytest.mark.timeout(300)
def test_a_browser_runs_nothing_asks_for_nothing_and_can_be_read(opened: tuple[Seen, str, list[str]]) -> None:
    seen, address, requests = opened
    assert seen.assert_readable() > 50
    seen.page.set_viewport_size({"width": 390, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen.page.locator("svg.drawing").count() >= 3 and seen.page.locator("svg.drawing").first.bounding_box()
    assert not requests and seen.page.title() != "run"
    seen.assert_quiet(address)
