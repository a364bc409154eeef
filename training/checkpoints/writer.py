"""Writes a checkpoint of torch's distributed checkpoint into a store: tensors as safetensors, the record last."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from tagmill.shards import Store, TagmillError
from tagmill.training.checkpoints.layout import DONE, METADATA, Done, Sized, folder_of, sized
from tagmill.training.checkpoints.metadata import Stored, metadata_json
from tagmill.training.checkpoints.tensor_file import pack

LARGEST = 1 << 26
"""Bytes of tensors in one object, unless one tensor has more: what a process needs besides the copy of its state."""


class CheckpointWriter(StorageWriter):
    """Writes one checkpoint. `record` makes its `done.json` of the sizes and digests of its objects; `beside` are further
    objects. The coordinator writes these, calls `before` when nothing is written yet, and `after` when all is."""

    def __init__(
        self,
        store: Store,
        step: int,
        record: Callable[[Mapping[str, Sized]], Done],
        beside: Mapping[str, bytes],
        before: Callable[[int], None],
        after: Callable[[Done], None],
    ) -> None:
        super().__init__()
        self._store, self._step, self._folder = store, step, folder_of(step)
        self._record, self._beside, self._before, self._after = record, beside, before, after
        self._rank = 0

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """The place of the checkpoint is that of the step."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Notes the rank, which names the objects."""
        self._rank = int(kwargs.get("rank", 0))

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        """Returns the plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Returns the plans as they are. No process writes before it has its own."""
        self._before(self._step)
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Writes the tensors of this rank, in objects of at most LARGEST bytes."""
        results = list[WriteResult]()
        for number, items in enumerate(_objects(plan.items)):
            file = f"{self._rank:05}-{number:04}.safetensors"
            tensors = dict[str, torch.Tensor]()
            for item in items:
                value = planner.resolve_data(item)
                assert isinstance(value, torch.Tensor)
                tensors[_name_of(item)] = value
            data = pack(tensors)
            self._store.put(f"{self._folder}/{file}", data)
            whole = sized(data)
            results += [
                WriteResult(item.index, _bytes_of(item), (Stored(file, _name_of(item)), whole)) for item in items
            ]
        future: Future[list[WriteResult]] = Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Writes metadata and record, after a look that the objects of all ranks are there."""
        written = [result for of_rank in results for result in of_rank]
        objects = {result.storage_data[0].file: result.storage_data[1] for result in written}
        stored: list[tuple[MetadataIndex, Stored]] = [(result.index, result.storage_data[0]) for result in written]
        for name, data in {**self._beside, METADATA: metadata_json(metadata, stored)}.items():
            self._store.put(f"{self._folder}/{name}", data)
            objects[name] = sized(data)
        there = dict(self._store.listing(self._folder))
        for name, (size, _) in objects.items():
            if there.get(f"{self._folder}/{name}") != size:
                what, where = (
                    "an object that a process has just written is not there",
                    f"{self._store.url}/{self._folder}",
                )
                raise TagmillError(what, f"{where}/{name}", "give an --output that all processes share")
        done = self._record(objects)
        self._store.put(f"{self._folder}/{DONE}", done.json())
        self._after(done)

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Returns True: the store has checked its address."""
        return True


def _objects(items: list[WriteItem]) -> Iterator[list[WriteItem]]:
    """Divides what a rank writes into objects; parts without a number are left out, unless their tensor has none."""
    found, size = list[WriteItem](), 0
    for item in items:
        assert item.tensor_data is not None
        if item.tensor_data.size.numel() and not math.prod(item.tensor_data.chunk.sizes):
            continue
        if found and size + _bytes_of(item) > LARGEST:
            yield found
            found, size = [], 0
        found.append(item)
        size += _bytes_of(item)
    if found:
        yield found


def _bytes_of(item: WriteItem) -> int:
    assert item.tensor_data is not None
    return math.prod(item.tensor_data.chunk.sizes) * item.tensor_data.properties.dtype.itemsize


def _name_of(item: WriteItem) -> str:
    """Returns the name in the object: that of the tensor, with the offsets of a part that is not the whole."""
    assert item.tensor_data is not None
    whole = item.tensor_data.chunk.sizes == item.tensor_data.size
    return item.index.fqn if whole else f"{item.index.fqn}@{','.join(map(str, item.tensor_data.chunk.offsets))}"
