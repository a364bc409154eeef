"""The report page and the pages of the server in a real browser: nothing runs, keys and scrolling work, all can be read."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tagmill.browse.report.page import write_report_page
from tagmill.browse.search.snapshot import CorpusWatch
from tagmill.browse.server.browse_command import bound, server
from tagmill.browse.server.site import Site
from tagmill.shards.formats.report_pictures import REPORT_PICTURES, pictures_bytes, small_picture
from tests.browse.chromium import Seen, chromium, listening, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS
from tests.browse.report.test_pictures import row
from tests.browse.worded import key_of, make_worded
from tests.pipeline.corpora import picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [needs_chromium, pytest.mark.timeout(300)]

SIZES = (60, 50)
TITLE = "run"  # which a script of ATTACKS would set


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, list[str]]]:
    """A server that no page may ask, and the requests that it gets."""
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, outside: tuple[str, list[str]]) -> Path:
    """A corpus of 110 samples in which every text of the web is an attack, with its report page."""
    address, folder = outside[0], tmp_path_factory.mktemp("chromium") / "corpus"
    attack = f"<img src={address}/a><script src={address}/b></script><link rel=stylesheet href={address}/c>"
    made = make_worded(folder, attack + "".join(ATTACKS) + "w" * 300, sizes=SIZES)
    kept = [row(reason="near_duplicate", row_id=110, yields_to=key_of(5), jpeg=small_picture(picture(70)))]
    made.store.put(REPORT_PICTURES, pictures_bytes(kept))
    write_report_page(made)
    return folder


@pytest.fixture(scope="module")
def site(corpus: Path) -> Iterator[str]:
    """The address of the server of the corpus."""
    with bound(0) as socket:
        port = socket.getsockname()[1]
        serving = server(Site(CorpusWatch(str(corpus), None)), port)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [socket]})
        thread.start()
        yield f"http://127.0.0.1:{port}"
        serving.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with chromium() as found:
        yield found


@pytest.fixture
def seen(browser: "Browser") -> Iterator[Seen]:
    with new_page(browser) as found:
        yield found


def test_the_report_runs_nothing_asks_for_nothing_and_can_be_read(
    seen: Seen, corpus: Path, outside: tuple[str, list[str]]
) -> None:
    address = (corpus / "report.html").as_uri()
    seen.page.goto(address)
    assert seen.assert_readable() > 50
    images = seen.page.locator("img")
    assert images.count() > 5
    assert images.evaluate_all("all => all.every(each => each.complete && each.naturalWidth > 0)")
    seen.assert_quiet(address)
    assert not outside[1] and seen.page.title() != TITLE and "<script src" in seen.page.inner_text("h1")


def test_every_page_of_the_server_runs_nothing_and_can_be_read(
    seen: Seen, site: str, outside: tuple[str, list[str]]
) -> None:
    paths = ["/", "/labels", "/find?by=all", "/find?by=tag&q=tag0", "/sample/000000/0", "/synset/n02131653"]
    paths += ["/rejects", "/rejects?reason=not_an_image", f"/rejects?duplicates_of={key_of(5)}"]
    for path in paths:
        answer = seen.page.goto(site + path)
        assert answer is not None and answer.ok, path
        seen.assert_readable()
        seen.assert_quiet(f"{site}/")
        assert seen.page.title() != TITLE and not seen.page.locator("svg, iframe, img:not([src^='/picture/'])").count()
    assert not outside[1]


def test_an_error_can_be_read_too(seen: Seen, site: str) -> None:
    seen.page.goto(f"{site}/find?by=label&q=%3Cscript%3E")
    seen.assert_readable()
    assert "This cannot be shown" in seen.page.inner_text("h1")


def test_keys_alone_lead_from_a_search_to_a_sample_and_its_duplicates(seen: Seen, site: str) -> None:
    page, keys = seen.page, seen.page.keyboard
    page.goto(site)
    keys.press("/")
    keys.press("Shift+Tab")  # to what is searched
    keys.type("tag")
    keys.press("Tab")
    keys.type("tag0")
    keys.press("Enter")
    page.wait_for_url("**/find?*by=tag*")
    keys.press("j")
    keys.press("Enter")
    page.wait_for_url("**/sample/000000/0")
    for _ in range(20):
        keys.press("j")
        if page.evaluate("document.activeElement.textContent") == "Duplicates of it":
            break
    keys.press("Enter")
    page.wait_for_url("**/rejects?*")
    assert page.inner_text("h1").startswith("Duplicates of sample") and page.locator("tbody tr").count() == 2
    page.go_back()
    keys.press("k")
    assert page.evaluate("document.activeElement.matches('a[data-item]')")
    seen.assert_quiet(f"{site}/")


def test_arrows_move_in_the_grid_by_its_rows(seen: Seen, site: str) -> None:
    seen.page.goto(f"{site}/find?by=all")
    place = "[...document.querySelectorAll('#grid a')].indexOf(document.activeElement)"
    across = seen.page.evaluate("columns()")
    found = list[int]()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft"):
        seen.page.keyboard.press(key)
        found.append(seen.page.evaluate(place))
    assert across > 3 and found == [0, 1, 1 + across, 1, 0]


def test_a_grid_loads_as_one_scrolls_until_all_is_there(seen: Seen, site: str) -> None:
    page = seen.page
    page.goto(f"{site}/find?by=all")
    first = page.locator("#grid li").count()
    while page.locator("#grid li").count() < sum(SIZES):
        page.keyboard.press("End")  # and again: where images come in late, the end is further away by then
        page.wait_for_timeout(50)
    links = page.locator("#grid a").evaluate_all("all => all.map(each => each.pathname)")
    assert 0 < first < len(links) == len(set(links)) == sum(SIZES)
    assert "searched 100 %" in page.inner_text("#turn")
    seen.assert_quiet(f"{site}/")


def test_without_scripts_links_lead_through_the_grid(browser: "Browser", site: str) -> None:
    with new_page(browser, java_script_enabled=False) as seen:
        seen.page.goto(f"{site}/find?by=all")
        found = [seen.page.locator("#grid li").count()]
        while seen.page.locator("#more").count():
            before = seen.page.url
            seen.page.click("#more")
            assert seen.page.url != before
            found.append(seen.page.locator("#grid li").count())
        assert sum(found) == sum(SIZES) and len(found) == 3
