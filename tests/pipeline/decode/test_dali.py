"""Tests whole batches by DALI on the CPU: several in flight; an error in one loses no other sample."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.batch import Normalisation, normalise
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import choose
from tagmill.pipeline.decoding import MOST_DEPTH, Decoding
from tagmill.shards.errors import TagmillError
from tests.pipeline.corpora import picture
from tests.pipeline.decode.test_libjpeg import COMPILED

pytest.importorskip("nvidia.dali")
dali = pytest.importorskip("tagmill.pipeline.decode.dali")

GOOD = [picture(i, 96, 80) for i in range(5)]
TABLE = GOOD[2].index(b"\xff\xc4") + 5  # number of codes of each length
UNDECODABLE = GOOD[2][:TABLE] + b"\xff" * 16 + GOOD[2][TABLE + 16 :]  # only the decoder detects it
PLACES = 4


def crops(count: int, seed: int = 3) -> Crops:
    return train_crops(seed, 0, np.arange(count), np.full(count, 96, np.int32), np.full(count, 80, np.int32))


def go_through(backend: Any, batches: list[Any], size: int = 16, ahead: bool = True) -> list[Any]:
    """Decodes all batches; each call gets the following ones as `coming`."""
    found = []
    for number, (jpegs, windows) in enumerate(batches):

        def coming(further: int, number: int = number) -> Any:
            return (*batches[number + 1 + further], size) if number + 1 + further < len(batches) else None

        found.append(backend.decode(jpegs, windows, size, None, coming if ahead else None))
    return found


KINDS = {"good": None, "bad": UNDECODABLE, "cut header": GOOD[0][:300], "text": b"<html>", "gone": None}


@settings(max_examples=25)
@given(
    plan=st.lists(st.lists(st.sampled_from(list(KINDS)), min_size=PLACES, max_size=PLACES), min_size=1, max_size=6),
    depth=st.integers(1, MOST_DEPTH),
    window=st.sampled_from(["region", "full", "cut"]),
)
def test_each_failure_is_one_hole_and_nothing_else_is_lost(plan: list[list[str]], depth: int, window: Any) -> None:
    batches, wanted = [], []
    whole = dali.DaliBackend(1, decoding=Decoding(window=window))
    for number, kinds in enumerate(plan):
        jpegs = [GOOD[(number + row) % 5] for row in range(PLACES)]
        pixels, _ = whole.decode(jpegs, crops(PLACES, number), 16)
        there = torch.tensor([kind == "good" for kind in kinds]).view(-1, 1, 1, 1)
        wanted.append((pixels * there, [kind not in ("good", "gone") for kind in kinds]))
        given_ = [None if k == "gone" else KINDS[k] or jpeg for k, jpeg in zip(kinds, jpegs, strict=True)]
        batches.append((given_, crops(PLACES, number)))
    found = go_through(dali.DaliBackend(2, decoding=Decoding(window=window, depth=depth)), batches)
    for (pixels, failed), (right, lost) in zip(found, wanted, strict=True):
        assert torch.equal(pixels, right) and failed.tolist() == lost


def recording(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records the number of images sent to DALI with each start."""
    starts: list[int] = []
    start = dali.Graph.start
    monkeypatch.setattr(
        dali.Graph, "start", lambda self, inputs: (starts.append(len(inputs["jpegs"])), start(self, inputs))[1]
    )
    return starts


def test_batches_in_flight_are_as_many_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [(list(GOOD), crops(5, number)) for number in range(5)]
    for depth in range(1, MOST_DEPTH + 1):
        starts = recording(monkeypatch)
        backend = dali.DaliBackend(1, decoding=Decoding(depth=depth))
        backend.decode(*batches[0], 16, None, lambda further: (*batches[1 + further], 16))
        assert starts == [5] * (depth + 1)  # the first is complete, and the next ones are in progress
        assert len(go_through(backend, batches[1:])) == 4 and starts == [5] * 5  # none was sent twice
        monkeypatch.undo()


def test_only_a_failed_batch_is_fed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = recording(monkeypatch)
    broken = [*GOOD[:2], UNDECODABLE, *GOOD[3:]]
    batches = [(list(GOOD), crops(5)), (broken, crops(5)), (list(GOOD), crops(5))]
    found = go_through(dali.DaliBackend(2, decoding=Decoding(depth=2)), batches)
    assert [failed.tolist() for _, failed in found] == [[False] * 5, [False, False, True, False, False], [False] * 5]
    assert starts == [5, 5, 5, 5, 1, 1, 1, 1, 1, 5]  # all, the second again, its samples, the third again


def test_a_failure_without_a_bad_sample_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    start = dali.Graph.start

    def fails_together(self: Any, inputs: Any) -> None:
        if len(inputs["jpegs"]) > 1:
            raise RuntimeError("out of memory")
        start(self, inputs)

    monkeypatch.setattr(dali.Graph, "start", fails_together)
    with pytest.raises(TagmillError, match=r"out of memory.*another backend"):
        dali.DaliBackend(1).decode(GOOD, crops(5), 16)


def test_batches_that_are_not_wanted_are_discarded() -> None:
    batches = [(list(GOOD), crops(5, 1)), ([UNDECODABLE] * 5, crops(5, 2)), (list(GOOD[::-1]), crops(5, 3))]
    right = dali.DaliBackend(1).decode(*batches[2], 16)[0]
    for wrong in (batches[1], (list(GOOD), crops(5, 9))):
        backend = dali.DaliBackend(1, decoding=Decoding(depth=3))
        backend.decode(*batches[0], 16, None, lambda _, wrong=wrong: (*wrong, 16))
        assert torch.equal(backend.decode(*batches[2], 16)[0], right)


def test_batches_and_images_of_other_sizes() -> None:
    backend = dali.DaliBackend(2)
    small, _ = backend.decode(GOOD[:2], crops(2), 16)
    large, _ = backend.decode(GOOD, crops(5), 16)
    wide, _ = backend.decode(GOOD, crops(5), 33)
    nothing, failed = backend.decode([None, None], crops(2), 16)
    assert torch.equal(large[:2], small)
    assert wide.shape == (5, 3, 33, 33)
    assert not nothing.any() and not failed.any()
    backend.close()
    again, _ = backend.decode(GOOD, crops(5), 16)
    assert torch.equal(again, large)
    growing = [(GOOD[:2], crops(2)), (GOOD, crops(5)), (GOOD[:1], crops(1))]  # the second finds the first in flight
    found = go_through(dali.DaliBackend(1, decoding=Decoding(depth=3)), growing)
    assert torch.equal(found[0][0], small) and torch.equal(found[1][0], large) and torch.equal(found[2][0], small[:1])


def test_batches_of_several_sizes_share_one_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [(list(GOOD), crops(5, number), size) for number, size in enumerate((16, 33, 8, 24, 16, 40))]
    batches[3][0][1] = UNDECODABLE
    wanted = [dali.DaliBackend(1).decode(*batch) for batch in batches]
    made = list[int]()
    make = dali.Graph.__init__
    monkeypatch.setattr(dali.Graph, "__init__", lambda self, *rest: (made.append(rest[0]), make(self, *rest))[1])
    backend = dali.DaliBackend(1, decoding=Decoding(depth=2))
    for number, batch in enumerate(batches):

        def coming(further: int, number: int = number) -> Any:
            return batches[number + 1 + further] if number + 1 + further < len(batches) else None

        pixels, failed = backend.decode(*batch, None, coming)
        assert pixels.shape == (5, 3, batch[2], batch[2])
        assert torch.equal(pixels, wanted[number][0]) and failed.tolist() == wanted[number][1].tolist()
    assert failed.tolist() == [False] * 5 and wanted[3][1].tolist() == [False, True, False, False, False]
    assert len(made) == 4  # the first, and one after each failure: in the batch, in all of it again, in its bad sample


def test_the_number_of_threads_does_not_change_a_pixel() -> None:
    one, _ = dali.DaliBackend(1).decode(GOOD, crops(5), 24)
    four, _ = dali.DaliBackend(4).decode(GOOD, crops(5), 24)
    assert torch.equal(one, four)


def test_normalised_images_are_made_from_dalis_memory() -> None:
    how = Normalisation((1.0, 2.0, 3.0), (10.0, 20.0, 30.0), torch.float32)
    jpegs = [GOOD[0], None, UNDECODABLE]
    pixels, failed = dali.DaliBackend(1).decode(jpegs, crops(3), 16)
    floats, _ = dali.DaliBackend(1).decode(jpegs, crops(3), 16, how)
    valid = torch.tensor([True, False, False])
    assert failed.tolist() == [False, False, True]
    assert torch.equal(floats, normalise(pixels, valid, how)) and not floats[1:].any()


def test_a_working_decoder_and_a_failing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dali.DaliBackend(1).failure() == ""
    if not torch.cuda.is_available():
        assert "DALI cannot start on cuda:0" in dali.DaliBackend(1, "cuda:0").failure()
    monkeypatch.setattr(dali, "placeholder", lambda: UNDECODABLE)
    assert "a valid image" in dali.DaliBackend(1).failure()


def marked(number: int) -> bytes:
    """Returns an image of 96 x 80 pixels with a restart marker every 2 MCUs."""
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(number, 96, 80))).save(file, "JPEG", quality=90, restart_marker_blocks=2)
    return file.getvalue()


MARKED = [marked(number) for number in range(5)]
SMALL = Crops(*(np.full(5, value, np.int32) for value in (50, 40, 20, 18)), np.arange(5) % 2 == 1)


def fed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Records the sizes in bytes of the JPEGs of each start."""
    found: list[list[int]] = []
    inputs = dali.Graph.inputs
    monkeypatch.setattr(
        dali.Graph,
        "inputs",
        lambda self, jpegs, *more: (found.append([len(jpeg or b"") for jpeg in jpegs]), inputs(self, jpegs, *more))[1],
    )
    return found


@COMPILED
def test_images_with_markers_are_cut_and_their_pixels_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among them one without markers, one that is missing, and one that is needed whole."""
    jpegs = [MARKED[0], GOOD[1], None, MARKED[3], MARKED[4]]
    windows = Crops(*(side.copy() for side in (SMALL.x, SMALL.y, SMALL.width, SMALL.height)), SMALL.flip)
    windows.x[4] = windows.y[4] = 0
    windows.width[4], windows.height[4] = 96, 80
    images, failures = {}, {}
    for window in ("full", "cut", "region"):
        backend = dali.DaliBackend(1, decoding=Decoding(window=window))
        sizes = fed(monkeypatch)
        images[window], failures[window] = backend.decode(jpegs, windows, 16)
        backend.close()
        monkeypatch.undo()
        cut = [len(jpeg or b"") > size for jpeg, size in zip(jpegs, sizes[-1], strict=True)]
        assert cut == [window == "cut", False, False, window == "cut", False]
    assert not any(failed.any() for failed in failures.values())
    apart = (images["cut"].to(torch.int16) - images["full"].to(torch.int16)).abs()
    assert not apart[[1, 2, 4]].any()  # not cut: the same work
    inner = apart[:, :, 2:-2, 2:-2]
    assert (
        int(inner.max()) <= 1 and int(apart.max()) <= 24
    )  # a resize may see beyond its window, and a cut has less there
    whole = images["cut"][4].to(torch.int16) - images["region"][4].to(torch.int16)
    assert int(whole.abs()[:, 2:-2, 2:-2].max()) <= 2


@COMPILED
def test_the_backends_agree_on_cut_windows() -> None:
    """Within the limits of test_backend.py, over many windows."""
    many = [MARKED[row % 5] for row in range(40)]
    windows = crops(40)
    ours = choose(LoaderConfig(backend="cpu", threads=1))
    here, _ = ours.decode(many, windows, 32)
    there, failed = dali.DaliBackend(1, decoding=Decoding(window="cut")).decode(many, windows, 32)
    ours.close()
    apart = (here.to(torch.int16) - there.to(torch.int16)).abs()
    assert not failed.any() and int(apart[:, :, 2:-2, 2:-2].max()) <= 2 and int(apart.max()) <= 24


@COMPILED
@settings(max_examples=15)
@given(
    broken=st.sets(st.integers(0, 4), min_size=1, max_size=4),
    kind=st.sampled_from(["table", "text", "segment"]),
)
def test_a_broken_image_among_cut_ones_is_the_one_that_is_named(broken: set[int], kind: str) -> None:
    jpegs: list[bytes | None] = list(MARKED)
    for row in broken:
        table = MARKED[row].index(b"\xff\xc4") + 5
        jpegs[row] = {
            "table": MARKED[row][:table] + b"\xff" * 16 + MARKED[row][table + 16 :],
            "text": b"<html>",
            "segment": MARKED[row][: len(MARKED[row]) // 3],
        }[kind]
    backend = dali.DaliBackend(2, decoding=Decoding(window="cut"))
    right, _ = backend.decode(MARKED, SMALL, 16)
    found = go_through(backend, [(MARKED, SMALL), (jpegs, SMALL), (MARKED, SMALL)])
    for (pixels, failed), lost in zip(found, (set[int](), broken, set[int]()), strict=True):
        assert set(np.flatnonzero(failed).tolist()) == lost
        rows = [row for row in range(5) if row not in lost]
        assert torch.equal(pixels[rows], right[rows]) and not pixels[sorted(lost)].any()
