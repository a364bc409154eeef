"""Reads a checkpoint for torch's distributed checkpoint: each object whole, compared with its digest, and without pickle."""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.storage import StorageReader
from torch.futures import Future

from tagmill.shards import IntegrityError, Store
from tagmill.training.checkpoints.layout import ANOTHER, METADATA, MOST_METADATA, Done, folder_of, read_object
from tagmill.training.checkpoints.metadata import Stored, parse_metadata
from tagmill.training.checkpoints.tensor_file import Place, places, unpack


class CheckpointReader(StorageReader):
    """Reads one checkpoint, an object at a time. Methods raise IntegrityError for objects that are missing or damaged."""

    def __init__(self, store: Store, done: Done) -> None:
        super().__init__()
        self._store, self._done = store, done
        self._where = f"{store.url}/{folder_of(done.step)}"
        self.metadata = self._read_metadata()
        """The tensors that there are; their storage_data says where."""
        self._sizes = {
            MetadataIndex(name, part.offsets): part.sizes
            for name, entry in self.metadata.state_dict_metadata.items()
            if isinstance(entry, TensorStorageMetadata)
            for part in entry.chunks
        }

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """The place of the checkpoint is that of its record."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Returns the metadata."""
        return self.metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Nothing is to be set up."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        """Returns the plan as it is."""
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        """Returns the plans as they are."""
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Reads what a plan asks for. Each object is read once."""
        for file, items in self._by_object(plan.items):
            data = read_object(self._store, self._done, file)
            there = places(data, f"{self._where}/{file}")
            for stored, item in items:
                part = self._part(data, there, stored, item)
                for dimension, (offset, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
                    part = part.narrow(dimension, offset, length)
                target = planner.resolve_tensor(item).detach()
                target.copy_(part)
                planner.commit_tensor(item, target)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        """Returns True: the store has checked its address."""
        return True

    def _read_metadata(self) -> Metadata:
        kept = self._done.objects.get(METADATA)
        if kept is not None and kept.size > MOST_METADATA:
            raise IntegrityError(f"metadata of {kept.size} bytes", self._where, ANOTHER)
        metadata = parse_metadata(read_object(self._store, self._done, METADATA), f"{self._where}/{METADATA}")
        entries = [each for each in metadata.state_dict_metadata.values() if isinstance(each, TensorStorageMetadata)]
        claimed = sum(entry.size.numel() * entry.properties.dtype.itemsize for entry in entries)
        there = sum(size for _, size in self._store.listing(folder_of(self._done.step)))
        if claimed > there:  # before memory is taken for them
            raise IntegrityError(f"tensors of {claimed} bytes in objects of {there}", self._where, ANOTHER)
        return metadata

    def _by_object(self, items: Iterable[ReadItem]) -> Iterable[tuple[str, list[tuple[Stored, ReadItem]]]]:
        found = dict[str, list[tuple[Stored, ReadItem]]]()
        for item in items:
            stored = self.metadata.storage_data[item.storage_index]
            found.setdefault(stored.file, []).append((stored, item))
        return sorted(found.items())

    def _part(self, data: bytes, there: dict[str, Place], stored: Stored, item: ReadItem) -> torch.Tensor:
        """Returns a part of a tensor, which must be what the metadata says."""
        entry: Any = self.metadata.state_dict_metadata[item.storage_index.fqn]
        sizes, place = self._sizes[item.storage_index], there.get(stored.name)
        if place is None or place.shape != tuple(sizes) or place.dtype != entry.properties.dtype:
            what = f"{stored.name} is not as the metadata says"
            raise IntegrityError(what, f"{self._where}/{stored.file}", ANOTHER)
        return unpack(data, place)
