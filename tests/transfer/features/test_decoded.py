"""Images come in order, each with its place, and what is no image has a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from tagmill.ingest.reasons import Reason
from tagmill.shards import StoreError
from tagmill.training.trained.model import Transform
from tagmill.transfer.features.decoded import AHEAD, decoded_batches
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.skip_reasons import MISSING
from tests.transfer.drawn_set import DrawnSet, drawn_from, drawn_set

SIDE = Transform(32, 1.0)


def plain(colour: tuple[int, ...], kind: str, mode: str = "RGB", **how: object) -> bytes:
    body = io.BytesIO()
    Image.new(mode, (40, 40), colour).save(body, kind, **how)
    return body.getvalue()


def test_batches_are_those_that_were_asked_for_and_reasons_are_kept() -> None:
    drawn = drawn_set(2, 6, undecodable={3}, missing={7})
    found = list(decoded_batches(drawn, [range(5), [9, 2], range(6, 9)], SIDE, 2))
    assert [list(each.places) for each in found] == [[0, 1, 2, 3, 4], [9, 2], [6, 7, 8]]
    assert [each.reasons for each in found] == [
        ("", "", "", str(Reason.NOT_AN_IMAGE), ""), ("", ""), ("", MISSING, "")
    ]  # fmt: skip
    for each in found:
        assert each.batch.valid.tolist() == [not reason for reason in each.reasons]
        assert tuple(each.batch.images.shape[1:]) == (3, 32, 32)
        filled = each.batch.images.flatten(1).any(1).tolist()
        assert filled == each.batch.valid.tolist()


def test_every_format_of_the_web_is_decoded_upright() -> None:
    red, turned = (220, 30, 30), Image.Exif()
    turned[0x0112] = 6
    half = Image.new("RGB", (40, 40), red)
    half.paste((0, 0, 255), (0, 0, 40, 20))  # the upper half is blue; turned by 90 degrees, the right one is
    body = io.BytesIO()
    half.save(body, "JPEG", exif=turned, quality=95)
    bodies = [plain(red, "PNG"), plain(red, "WEBP"), plain(red, "GIF"), plain((0, 225, 190, 35), "JPEG", "CMYK")]
    examples = [Example(str(place), (0,)) for place in range(5)]
    drawn = drawn_from([*bodies, body.getvalue()], examples, [SetClass("red")])
    (found,) = decoded_batches(drawn, [range(5)], SIDE, 1)
    assert found.reasons == ("",) * 5
    middle = found.batch.images[:, :, 16, 16].numpy().astype(np.int64)
    assert np.abs(middle[:3] - red).max() < 12
    assert found.batch.images[4, 2, 16, 28] > 200 and found.batch.images[4, 0, 16, 4] > 200


def test_no_more_is_read_ahead_than_is_said() -> None:
    asked = list[int]()

    class Counted(DrawnSet):
        def read(self, places):  # type: ignore[no-untyped-def]
            asked.extend(places)
            return super().read(places)

    plain_set = drawn_set(2, 10)
    counted = Counted(**{name: getattr(plain_set, name) for name in DrawnSet.__dataclass_fields__})
    batches = decoded_batches(counted, ([place] for place in range(20)), SIDE, 1)
    for number in range(3):
        assert list(next(batches).places) == [number]
        assert max(asked) <= number + AHEAD
    batches.close()
    assert len(asked) < 20


def test_a_store_that_fails_is_an_error() -> None:
    class Failing(DrawnSet):
        def read(self, places):  # type: ignore[no-untyped-def]
            raise StoreError("unreachable", "memory", "try again")

    plain_set = drawn_set(2, 2)
    failing = Failing(**{name: getattr(plain_set, name) for name in DrawnSet.__dataclass_fields__})
    with pytest.raises(StoreError, match="unreachable"):
        list(decoded_batches(failing, [range(4)], SIDE, 1))
