"""The page: what it shows, that no name does anything in it, and that it stays small."""

import pytest

from tagmill.pages.standalone import PAGE_BYTES
from tagmill.shards.formats.report_pictures import PICTURE_BYTES
from tagmill.studies.selection.chosen_rows import Chosen, ClassCount, SelectionRule
from tagmill.studies.selection.page import MOST_ROWS, selection_page
from tagmill.studies.selection.places import MOST_IMAGES, PARTS, PlacedImage
from tagmill.studies.selection.selection_facts import SelectionFacts
from tests.browse.report.test_page import ATTACKS, Structure


def facts(text: str = "", classes: int = 3, rule: SelectionRule = "balanced") -> SelectionFacts:
    counts = [ClassCount(70, 50, 65536, 100 * number) for number in range(1, classes)]
    return SelectionFacts(
        *(f"view{text}"[:9], rule, 50, 10, 7, "0" * 64, f"teacher{text}", "softmax", 1234),
        names=tuple(f"class {number}{text}" for number in range(classes)),
        left_out=(f"left out{text}",),
        chosen=Chosen((*counts, ClassCount(0)), 50 * classes - 50, 77),
    )


def images(classes: int, jpeg: bytes | None = b"jpeg") -> list[PlacedImage]:
    return [
        PlacedImage(label, part, place, f"{label:032x}", 30000 + place, jpeg)
        for label in range(classes)
        for place, part in enumerate(PARTS, 1)
    ]


def test_it_shows_counts_scores_and_images() -> None:
    page = selection_page("corpus", "views/v/0/view.json", facts(), [*images(1), *images(2, None)[3:]]).decode()
    for shown in ("77 images of corpus", "0.0015", "1.0000", "median, place 2, score 0.4578", "no image", "class 2"):
        assert shown in page, shown
    assert "1 classes have no image: class 2" in page and "left out" in page
    elements = Structure(page.encode()).elements
    assert not {"script", "iframe", "object", "form", "link[href=http]"} & {each[0] for each in elements}
    assert len([each for each in elements if each[0] == "table"]) == page.count("<caption>")
    assert all("alt" in each for each in elements if each[0] == "img") and page.count("<img") == 3
    assert page.index("class 2") < page.index("class 0</th>") < page.index("class 1</th>")


@pytest.mark.parametrize("text", ["".join(ATTACKS), ATTACKS[1]])
def test_no_name_changes_the_page(text: str) -> None:
    known = Structure(selection_page("corpus", "views/v/0/view.json", facts(), images(2)))
    found = Structure(selection_page(f"corpus{text}", "views/v/0/view.json", facts(text), images(2)))
    assert found.elements == known.elements


def test_the_random_rule_shows_no_scores() -> None:
    page = selection_page("corpus", "views/v/0/view.json", facts(rule="tags"), images(1)).decode()
    assert "score 0." not in page and "Best score" not in page and "random images" in page
    assert "as many images" not in page.lower()
    assert "Best score" in selection_page("c", "views/v/0/view.json", facts(rule="unbalanced"), []).decode()


def test_many_classes_and_images_stay_below_the_limit() -> None:
    many = images(MOST_IMAGES // 3, b"x" * PICTURE_BYTES)
    page = selection_page("corpus", "views/v/0/view.json", facts("x" * 300, MOST_ROWS + 500), many)
    assert len(page) <= PAGE_BYTES and b"500 further classes are not listed" in page
