"""The page of a detector: what it shows, that no name does anything in it, and that a browser can show it."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from tagmill.pages.standalone import PAGE_BYTES
from tagmill.transfer.detection.average_precision import AveragePrecision
from tagmill.transfer.detection.box_errors import BoxError, ClassMatches, ImageErrors
from tagmill.transfer.detection.coco_set import CocoSet, open_coco
from tagmill.transfer.detection.detection_outcome import DetectionOutcome
from tagmill.transfer.detection.detection_page import MOST_CLASS_ROWS, BoxedImage, boxed_images, detection_page
from tests.browse.chromium import chromium, listening, needs_chromium, new_page
from tests.browse.report.test_page import ATTACKS, Structure
from tests.transfer.detection.coco_files import write_set

ERRORS = (BoxError(0, (4.5, 6, 14.5, 14), None), BoxError(1, (20, 10, 39.96, 29), 0.874))


@pytest.fixture(scope="module")
def val(tmp_path_factory: pytest.TempPathFactory) -> CocoSet:
    return open_coco(*write_set(tmp_path_factory.mktemp("coco")), masks=False)


@pytest.fixture(scope="module")
def image(val: CocoSet) -> BoxedImage:
    (made,) = boxed_images([ImageErrors("a.png", ERRORS, 3)], val)
    return made


def outcome(text: str, classes: int = 2, *, masks: bool = True) -> DetectionOutcome:
    per_class = tuple(None if n == 1 else 0.25 + n / 1000 for n in range(classes))
    figures = AveragePrecision(0.125, 0.5, 0.0625, None, 0.75, None, 0.375, per_class)
    return DetectionOutcome(
        "detection",
        "mask-rcnn",
        f"model{text}",
        "d" * 64,
        False,
        f"train{text}",
        "1" * 64,
        f"val{text}",
        "2" * 64,
        tuple(f"{n}class{text}" for n in range(classes)),
        1234,
        figures,
        figures if masks else None,
        {"seed": 3, "name": text},
        {"val_images": {f"reason{text}": 17}, "train_images": {}},
        tuple(ClassMatches(40 + n, 30, 20) for n in range(classes)),
    )


def test_it_shows_every_part(image: BoxedImage) -> None:
    page = detection_page(outcome("plain"), [image])
    found, text = Structure(page), page.decode()
    shown = (
        "1,234 images",
        "0.125",
        "0.500",
        "0.062",
        "0.750",
        "0classplain",
        "0.250",
        "reasonplain: 17",
        "&#34;seed&#34;: 3",
    )
    for part in (*shown, "missed: 0classplain", "wrong: 1classplain 0.87", "and 3 more", "have no interval", "<td"):
        assert part in text, part
    assert not {"script", "iframe", "object", "form"} & {each[0] for each in found.elements}
    assert len([each for each in found.elements if each[0] == "table"]) == text.count("<caption>") == 3
    assert " style=" not in text and text.count(">masks</th>") == 1
    assert ">masks</th>" not in detection_page(outcome("plain", masks=False)).decode()


def test_boxes_are_drawn_in_the_pixels_of_the_image(image: BoxedImage) -> None:
    assert image.jpeg is not None and (image.width, image.height) == (40, 30)
    text = detection_page(outcome("plain"), [image]).decode()
    assert 'viewBox="0 0 40 30"' in text and 'width="40" height="30" preserveAspectRatio="none"' in text
    missed, wrong = text.split("<rect ")[-2:]
    assert 'x="4.5" y="6.0" width="10.0" height="8.0"' in missed and 'class="first"' in missed
    assert 'x="20.0" y="10.0" width="20.0" height="19.0"' in wrong and "stroke-dasharray" in wrong


def test_an_image_that_is_gone_is_named_and_not_shown(image: BoxedImage) -> None:
    text = detection_page(outcome("plain"), [replace(image, jpeg=None)]).decode()
    assert "no image" in text and "<image" not in text and "a.png" in text


@pytest.mark.parametrize("attack", ["".join(ATTACKS), ATTACKS[1]])
def test_no_name_changes_the_page(attack: str, image: BoxedImage) -> None:
    hostile = Structure(detection_page(outcome(f"x{attack}"), [replace(image, key=f"x{attack}")]))
    assert hostile.elements == Structure(detection_page(outcome("plain"), [image])).elements
    assert all(each.startswith(("#", "data:image/jpeg;base64,", "data:,")) for each in hostile.addresses)
    hidden = [each for each in "".join(hostile.text) if unicodedata.category(each) in ("Cc", "Cf") and each != "\n"]
    assert not hidden


def test_many_classes_and_images_leave_a_bounded_page(image: BoxedImage) -> None:
    page = detection_page(outcome("<&\u202e" * 300, 3000), [image] * 200)
    assert len(page) < PAGE_BYTES and page.count(b'<td class="bar">') == MOST_CLASS_ROWS
    assert b"2999class" in page and b"1class" in page, "the best, and the one without objects"


@needs_chromium
@pytest.mark.timeout(300)
def test_a_browser_draws_the_boxes_over_the_image_and_asks_for_nothing(tmp_path: Path, image: BoxedImage) -> None:
    file = tmp_path / "detection.html"
    with listening() as (address, requests):
        attack = f"<img src={address}/a><script src={address}/b></script>" + "".join(ATTACKS) + "w" * 300
        file.write_bytes(detection_page(outcome(attack), [replace(image, key=f"{attack}")]))
        with chromium() as browser, new_page(browser) as seen:
            seen.page.goto(file.as_uri())
            assert seen.assert_readable() > 20
            shown, box = (seen.page.locator(f"figure svg {name}").first.bounding_box() for name in ("image", "rect"))
            assert shown and box and shown["width"] > 100 and abs(shown["height"] / shown["width"] - 0.75) < 0.02
            assert abs((box["x"] - shown["x"]) / shown["width"] - 4.5 / 40) < 0.03
            assert not requests and seen.page.title() != "run"
            seen.assert_quiet(file.as_uri())
