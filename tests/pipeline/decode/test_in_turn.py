"""Tests two backends that work at once: who makes a batch depends on its number alone, and neither waits for the other."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import Backend, choose
from tagmill.pipeline.decode.choice.division import DIVISION_PERIOD, Division
from tagmill.pipeline.decode.in_turn import InTurn
from tests.pipeline.corpora import picture

NEEDS_DALI = pytest.mark.skipif(not importlib.util.find_spec("nvidia"), reason="needs nvidia-dali")
PICTURES = [picture(number, 96, 80) for number in range(5)]
SIZE = 16

Order = tuple[list[bytes | None], Crops, int]


def crops(seed: int) -> Crops:
    return train_crops(seed, 0, np.arange(5), np.full(5, 96, np.int32), np.full(5, 80, np.int32))


def order(number: int) -> Order:
    """Returns JPEGs, crops and size of a batch with a hole and a broken image, all different from batch to batch."""
    jpegs: list[bytes | None] = [PICTURES[(number + row) % 5] for row in range(5)]
    jpegs[number % 5], jpegs[(number + 2) % 5] = None, b"<html>"
    return jpegs, crops(number), SIZE


@pytest.fixture(scope="module")
def alone() -> Iterator[dict[bool, Backend]]:
    """Each backend by itself, by whether it is DALI's."""
    made = {
        is_dalis: choose(LoaderConfig(backend="dali" if is_dalis else "cpu", threads=1)) for is_dalis in (True, False)
    }
    yield made
    for backend in made.values():
        backend.close()


@NEEDS_DALI
@settings(max_examples=12)
@given(
    dali=st.integers(1, DIVISION_PERIOD - 1),
    first=st.integers(0, 20),
    count=st.integers(1, 2 * DIVISION_PERIOD),
    known=st.integers(0, 9),
)
def test_the_number_decides_who_makes_a_batch(
    alone: dict[bool, Backend], dali: int, first: int, count: int, known: int
) -> None:
    """From any first number, and however many later batches are known."""
    division = Division(dali)
    backend = choose(LoaderConfig(backend="both", threads=2))
    assert isinstance(backend, InTurn)
    backend._division = division
    orders = [order(number) for number in range(first, first + count)]
    for place, given_ in enumerate(orders):

        def coming(ahead: int, place: int = place) -> Any:
            later = place + 1 + ahead
            return (first + later, *orders[later]) if ahead < known and later < count else None

        pixels, failed = backend.decode_number(first + place, *given_, None, coming)
        wanted, lost = alone[division.is_dalis(first + place)].decode(*given_)
        assert torch.equal(pixels, wanted) and failed.tolist() == lost.tolist()
        assert failed.sum() == 1
    backend.close()


class Recorder:
    """A backend that records what it is asked for, with what is known then."""

    def __init__(self, name: str, calls: list[tuple[str, str, list[int]]]) -> None:
        self.name, self.calls = name, calls

    def _known(self, coming: Any) -> list[int]:
        found = list[int]()
        while (more := coming(len(found))) is not None:
            found.append(more[0][0])
        return found

    def decode(self, jpegs: Any, crops: Any, size: int, how: Any = None, coming: Any = None) -> Any:
        self.calls.append((self.name, f"decodes {jpegs[0]}", self._known(coming)))
        return torch.zeros(1), np.zeros(1, np.bool_)

    def begin(self, coming: Any, how: Any) -> None:
        self.calls.append((self.name, "begins", self._known(coming)))

    def close(self) -> None:
        self.calls.append((self.name, "closes", []))


def test_while_one_decodes_the_other_has_begun_its_own_next_batches() -> None:
    calls: list[tuple[str, str, list[int]]] = []
    dali, cpu = Recorder("dali", calls), Recorder("cpu", calls)
    backend = InTurn(dali, cpu, Division(DIVISION_PERIOD // 2))  # type: ignore[arg-type]
    for number in range(2):
        backend.decode_number(
            number,
            [number],
            None,
            SIZE,
            None,
            lambda ahead, n=number: (n + 1 + ahead, [n + 1 + ahead], None, SIZE) if ahead < 4 else None,  # type: ignore[arg-type, misc, list-item]
        )
    backend.close()
    assert calls == [
        ("dali", "begins", [1, 3]),
        ("cpu", "decodes 0", [2, 4]),
        ("cpu", "begins", [2, 4]),
        ("dali", "decodes 1", [3, 5]),
        ("dali", "closes", []),
        ("cpu", "closes", []),
    ]


@NEEDS_DALI
def test_without_numbers_calls_are_numbered(alone: dict[bool, Backend]) -> None:
    backend = choose(LoaderConfig(backend="both", threads=2))
    for number in range(4):
        pixels, _ = backend.decode(*order(number), None, lambda ahead, n=number: order(n + 1 + ahead))  # type: ignore[misc]
        assert torch.equal(pixels, alone[number % 2 == 1].decode(*order(number))[0])
    backend.close()


@NEEDS_DALI
def test_the_threads_of_both_are_the_ranks_together(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        backend = choose(LoaderConfig(backend="both", threads=6))
    assert isinstance(backend, InTurn)
    assert backend._dali._threads + backend._cpu._threads == 6  # type: ignore[attr-defined]
    assert "4 of 8 batches" in caplog.text and "decoding.dali_share" in caplog.text
    backend.close()
