"""Errors in images: spread over classes, small, and no bytes of a set do harm."""

import io

import numpy as np
from PIL import Image

from tagmill.shards.formats.report_pictures import PICTURE_BYTES, PICTURE_SIDE
from tagmill.transfer.report.error_images import error_images
from tests.transfer.drawn_set import drawn_from
from tests.transfer.report.judged import named_set, outcome_on


def test_they_are_errors_of_many_classes_in_an_order_that_does_not_change() -> None:
    test = named_set("")
    outcome = outcome_on(test, 0)
    found = error_images(outcome, test, 12)
    wrong = outcome.top[:, 0] != outcome.truth
    labels = {each.truth for each in found[:7]}
    assert len(found) == 12 and len(labels) == min(7, len(set(outcome.truth[wrong].tolist())))
    rows = {str(key): row for row, key in enumerate(outcome.keys)}
    for each in found:
        row = rows[each.key]
        assert each.truth == test.classes[outcome.truth[row]].name != each.predicted
        assert each.jpeg is not None and len(each.jpeg) <= PICTURE_BYTES
        assert max(Image.open(io.BytesIO(each.jpeg)).size) <= PICTURE_SIDE
    assert error_images(outcome, test, 12) == found and error_images(outcome, test, 0) == []


def test_bytes_that_are_no_image_and_missing_ones_are_shown_without() -> None:
    made = named_set("", 2, undecodable=range(8))
    images = [None if place >= 8 else body for place, body in enumerate(made.images)]
    test = drawn_from(images, made.examples, made.classes)
    found = error_images(outcome_on(test, 0), test, 16)
    assert found and all(each.jpeg is None for each in found)


def test_other_formats_and_large_images_become_small_jpegs() -> None:
    made = named_set("", 2)
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (700, 900, 4), np.uint8)).save(sink, "PNG")
    test = drawn_from([sink.getvalue()] * 16, made.examples, made.classes)
    found = error_images(outcome_on(test, 0), test, 2)
    assert found[0].jpeg is not None and len(found[0].jpeg) <= PICTURE_BYTES


def test_an_image_that_left_the_set_is_left_out() -> None:
    made = named_set("", 2)
    outcome = outcome_on(made, 0)
    fewer = drawn_from(made.images[:4], made.examples[:4], made.classes)
    assert len(error_images(outcome, fewer, 16)) <= 4
