"""The page: what it shows, and that no text of the web does anything in it."""

import tempfile
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.browse.report.page import report_page, write_report_page
from tagmill.pages.standalone import PAGE_BYTES
from tagmill.shards.errors import TagmillError
from tagmill.shards.formats.report_pictures import REPORT_PICTURES, pictures_bytes, small_picture
from tests.browse.report.test_pictures import row
from tests.browse.worded import key_of, make_worded, take_down_sample
from tests.pipeline.corpora import picture

ATTACKS = (
    "<script>document.title='run'</script>",
    "'\"><img src=x onerror=alert(1)>",
    "</style></title></svg><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "<!-- ]]> --><base href=//evil.example>",
    "\u202e\0\x1b[31m\u200b\ufeff",
)
texts = st.lists(st.sampled_from(ATTACKS) | st.text(st.characters(codec="utf-8"), max_size=9), max_size=4).map("".join)


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *sorted(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(folder: Path, text: str) -> bytes:
    return report_page(make_worded(folder, text))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return page_of(tmp_path_factory.mktemp("plain"), "plain")


@settings(max_examples=5)
@given(text=texts)
def test_no_text_of_the_web_changes_the_page(plain: bytes, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = Structure(page_of(Path(folder), f"x{text}"))
    assert found.elements == Structure(plain).elements
    assert all(each.startswith(("#", "data:image/jpeg;base64,", "data:,")) for each in found.addresses)
    hidden = [each for each in "".join(found.text) if unicodedata.category(each) in ("Cc", "Cf") and each != "\n"]
    assert not hidden


def test_it_shows_every_part(plain: bytes) -> None:
    page = plain.decode()
    for part in ("rows", "rejects", "labels", "sizes", "hosts", "duplicates", "evaluation", "time"):
        assert f'<h2 id="{part}">' in page
    for shown in ("label0plain", "set", "3 bits apart", "host1.exampleplain", "fetch", "copy1", "near0", key_of(5)):
        assert shown in page, shown
    elements = Structure(plain).elements
    tables = [each for each in elements if each[0] == "table"]
    assert len(tables) == len([each for each in elements if each[0] == "caption"]) >= 6
    assert all("alt" in each for each in elements if each[0] == "img")
    assert len([each for each in elements if each[0] == "polyline"]) == 3
    assert not {"script", "iframe", "object", "form"} & {each[0] for each in elements}
    assert "default-src &#39;none&#39;" in page


def test_of_blocked_rows_and_rows_taken_down_there_are_only_numbers(plain: bytes) -> None:
    assert b"blocked-detail" not in plain and b">blocked<" in plain


def test_what_is_taken_down_is_gone_from_the_next_page(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    rows = [row(reason="near_duplicate", row_id=110, yields_to=key_of(5), jpeg=small_picture(picture(70)))]
    corpus.store.put(REPORT_PICTURES, pictures_bytes(rows))
    before = Structure(report_page(corpus))
    assert write_report_page(corpus) == f"{tmp_path}/report.html"
    assert (tmp_path / "report.html").read_bytes().decode().count(key_of(5)) == 1
    after = Structure(report_page(take_down_sample(corpus, 5)))
    assert key_of(5) not in "".join(after.text)
    gone = set(before.addresses) - set(after.addresses)
    assert len(gone) == 2, "the sample and its near duplicate"


def test_long_texts_leave_a_small_page(tmp_path: Path) -> None:
    assert len(page_of(tmp_path, "<&\u202e" * 60_000)) < 500_000


def test_images_are_left_out_until_the_finished_file_fits(tmp_path: Path) -> None:
    corpus = make_worded(tmp_path)
    whole = report_page(corpus)
    images = whole.count(b"<img ")
    assert b"left out to keep" not in whole and images and len(whole) <= PAGE_BYTES
    assert report_page(corpus, len(whole)) == whole
    found = list[int]()
    for most in (len(whole) - 1, len(whole) - 2000):
        page = report_page(corpus, most)
        left = images - page.count(b"<img ")
        assert len(page) <= most and f"<p>{left} images were left out to keep" in page.decode()
        found.append(left)
    assert 0 < found[0] < found[1]


def test_text_alone_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TagmillError, match=r"without its images, more than 1,000"):
        report_page(make_worded(tmp_path), 1000)
