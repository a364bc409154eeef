"""Makes batches with DALI and on the CPU at once. Which of them makes a batch is a function of the batch's number in its
epoch, so that a run can be repeated and resumed with the same pixels; the two differ by a few levels."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation
from tagmill.pipeline.decode.choice.division import Division
from tagmill.pipeline.decode.cpu import Coming, CpuBackend, Jpegs
from tagmill.shards.arrays import Bools

Numbered = Callable[
    [int], tuple[int, Jpegs, Crops, int] | None
]  # returns number, JPEGs, crops and size of a later batch, 0 being the next, if known


class Beginner(Protocol):
    """A backend that can be asked to start batches while another one decodes."""

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, Bools]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`."""

    def begin(self, coming: Coming, how: Normalisation | None) -> None:
        """Starts as many of the coming batches as the backend works on at a time."""

    def close(self) -> None:
        """Ends the background threads."""


class InTurn:
    """Two backends that work at the same time, each on its own batches. Used by one thread."""

    on_device = False  # of some batches the images are made on the host

    def __init__(self, dali: Beginner, cpu: CpuBackend, division: Division, device: str = "cpu") -> None:
        self._dali = dali
        self._cpu = cpu
        self._division = division
        self._device = torch.device(device)
        self._number = -1  # of the last batch

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, Bools]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`. The batch has the number after the last one's."""
        number = self._number + 1

        def numbered(ahead: int) -> tuple[int, Jpegs, Crops, int] | None:
            found = coming(ahead) if coming else None
            return found and (number + 1 + ahead, *found)

        return self.decode_number(number, jpegs, crops, size, how, numbered)

    def decode_number(
        self, number: int, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None, coming: Numbered
    ) -> tuple[torch.Tensor, Bools]:
        """Decodes a batch by its number in its epoch. `coming` returns the next calls' number, JPEGs, crops and size."""
        self._number = number
        is_dalis = self._division.is_dalis(number)
        first: tuple[Beginner, Beginner] = (self._dali, self._cpu) if is_dalis else (self._cpu, self._dali)
        mine, other = first
        other.begin(self._own(coming, not is_dalis), how)
        return mine.decode(jpegs, crops, size, how, self._own(coming, is_dalis))

    def wake(self) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.wake`."""
        self._cpu.wake()

    def seconds(self) -> npt.NDArray[np.float64] | None:
        """See `tagmill.pipeline.decode.backend.Backend.seconds`."""
        return None if self._division.is_dalis(self._number) else self._cpu.seconds()

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.decode.backend.Backend.normalise`."""
        return self._cpu.normalise(images, valid, how, mix)

    def share(self, rows: Bools, work: Callable[[Bools], None]) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.share`."""
        if self._device.type == "cpu":
            self._cpu.share(rows, work)
        else:
            work(rows)

    def close(self) -> None:
        """Ends the threads of both."""
        self._dali.close()
        self._cpu.close()
        self._number = -1

    def _own(self, coming: Numbered, is_dalis: bool) -> Coming:
        """Returns a `Coming` of the batches of one of the two backends."""

        def next_of(ahead: int) -> tuple[Jpegs, Crops, int] | None:
            place = 0
            while (found := coming(place)) is not None:
                number, jpegs, crops, size = found
                if self._division.is_dalis(number) == is_dalis:
                    if not ahead:
                        return jpegs, crops, size
                    ahead -= 1
                place += 1
            return None

        return next_of
