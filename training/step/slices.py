"""A step's images in parts: what a process computes at a time, so that a large step fits into a small memory."""

from typing import NamedTuple

import torch

from tagmill.pipeline import Batch, Terms


class Slice(NamedTuple):
    """Some images of a batch, which the network gets at once."""

    rows: torch.Tensor  # int64 [s], of the batch
    places: torch.Tensor  # int64 [b], where each row of the batch is in the slice; -1 where it is not in it
    filler: bool = False  # its images teach nothing: the network is called only because other processes call it

    def terms(self, whole: Terms) -> Terms:
        """Returns the pairs of the whole batch with rows of this slice; those of other images weigh nothing. Does not wait
        for the device."""
        if not len(self.rows):
            return Terms(whole.rows[:0], whole.ids[:0], whole.weights[:0])
        places = self.places[whole.rows]
        return Terms(places.clamp(min=0), whole.ids, whole.weights * (places >= 0))


def slices(
    batch: Batch, parts: int, *, only_valid: bool, filler_size: int | None = None, own: int | None = None
) -> list[Slice]:
    """Divides a batch, or its first `own` slots, into at most `parts` slices of nearly equal size.

    With `only_valid` they have only slots that hold an image, at least two in each, for networks that normalise over a
    batch: holes and padding are black. A batch with one image has it twice (and it counts once); one without images has one
    black one, in a slice marked as a filler.

    `filler_size` is for processes that must call the network equally often, because collectives are part of it: then there
    are `parts` slices, the missing ones fillers of `filler_size` images (0 or 1).
    """
    taught = len(batch) if own is None else own
    filled = batch.filled if taught == len(batch) or not only_valid else int(batch.valid[:taught].sum())
    rows = _rows(batch, taught, filled, only_valid=only_valid)
    most = max(1, len(rows) // 2 if only_valid else len(rows))
    found = list[Slice]()
    for part in rows.tensor_split(min(parts, most)):
        places = torch.full((len(batch),), -1, dtype=torch.int64, device=part.device)
        places[part] = torch.arange(len(part), device=part.device)
        found.append(Slice(part, places, filler=only_valid and not filled))
    if filler_size is None or not only_valid:
        return found
    rows = torch.zeros(filler_size, dtype=torch.int64, device=batch.images.device)
    filler = Slice(rows, torch.full((len(batch),), -1, dtype=torch.int64, device=rows.device), filler=True)
    found = [filler if part.filler else part for part in found]
    return found + [filler] * (min(parts, taught) - len(found))


def _rows(batch: Batch, taught: int, filled: int, *, only_valid: bool) -> torch.Tensor:
    device = batch.images.device
    if not only_valid or filled == taught:
        return torch.arange(taught, device=device)
    if filled == 0:
        return torch.zeros(1, dtype=torch.int64, device=device)
    rows = batch.valid[:taught].nonzero().flatten()  # waits for a GPU: only in a batch that has holes or padding
    return rows.repeat(2) if len(rows) == 1 else rows
