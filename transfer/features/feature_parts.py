"""Features of a set in a store, in parts that are each written once: a process that is killed loses a part, and several
processes share the work."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch

from tagmill.ingest.images.prepare import RULES
from tagmill.shards import ConfigError, IntegrityError, Store
from tagmill.transfer.features.backbone import Backbone
from tagmill.transfer.sets.labelled_set import LabelledSet

FEATURES_VERSION = 1  # increase it with every change of the code that changes features or the files
FACTS_FILE = "features.json"
_MORE_BYTES = 1 << 20  # what a file has at most beside its features and keys


@dataclass(frozen=True)
class PartLayout:
    """How a set is divided. Both numbers may change the last bits of features, so they are part of the digest."""

    part: int = 1024  # images of a part: what a kill costs at most
    batch: int = 32  # images that the network gets at a time; each part begins with a new batch

    def __post_init__(self) -> None:
        if self.part < 1 or self.batch < 1:
            raise ConfigError(f"parts of {self.part}, batches of {self.batch}", "features", "give at least 1 of each")


def usual_layout(device: str) -> PartLayout:
    """Returns the layout for a device. On a CPU a small batch stays in its caches (tf_efficientnet_lite0 at 224 pixels: 39 ms
    of a core an image in batches of 8, 47 ms in batches of 32)."""
    return PartLayout(batch=8 if device == "cpu" else 128)


@dataclass(frozen=True, eq=False)
class PartValues:
    """What a part has of its m images, in the order of the set."""

    values: npt.NDArray[np.float32]  # [m, d], zero where there is a reason
    reasons: tuple[str, ...]  # [m], why an image has no features; '' where it has


def feature_facts(backbone: Backbone, labelled_set: LabelledSet, layout: PartLayout) -> dict[str, object]:
    """Returns what determines features: weights, transform, resolution, set, layout, device and versions."""
    trained = backbone.trained
    return {
        "weights": trained.digest,
        "network": trained.network,
        "network_args": dict(trained.network_args),
        "transform": asdict(backbone.transform),
        "outputs": backbone.outputs,
        "width": backbone.width,
        "set": labelled_set.digest,
        "images": len(labelled_set),
        "layout": asdict(layout),
        "device": backbone.device,
        "versions": {
            "features": FEATURES_VERSION,
            "images": RULES,
            "pillow": PIL.__version__,
            "timm": timm.__version__,
            "torch": torch.__version__,
        },
    }


def facts_digest(facts: Mapping[str, object]) -> str:
    """Returns the SHA-256 of facts as JSON, 64 hex digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


class FeatureParts:
    """The parts of one set by one network, below a folder of a store that the digest of their facts names."""

    def __init__(self, store: Store, facts: Mapping[str, object], keys: Sequence[str], width: int, part: int) -> None:
        """`keys`: of all images of the set, in order. `width`: numbers of an image. `part`: images of a part."""
        self.digest = facts_digest(facts)
        self._store, self._facts = store.within(self.digest[:32]), facts
        self._keys, self._width, self._part = keys, width, part

    def __len__(self) -> int:
        return -(-len(self._keys) // self._part)

    def places(self, part: int) -> range:
        """Returns the places in the set of a part."""
        return range(part * self._part, min((part + 1) * self._part, len(self._keys)))

    def missing(self, rank: int, ranks: int) -> Iterator[int]:
        """Yields the parts that are not there at the moment: first those of this process, every `ranks`-th from `rank` on; then
        the others', the last ones first, so that a process that is done helps those that are not, and none waits for one
        that was killed."""
        others = [part for part in reversed(range(len(self))) if part % ranks != rank]
        for part in (*range(rank, len(self), ranks), *others):
            if not self._store.exists(_name(part)):
                yield part

    def put(self, part: int, found: PartValues) -> PartValues:
        """Writes a part unless another process was first. Returns the one that is there."""
        if part == 0:  # for people: no program reads it
            self._store.put_new(FACTS_FILE, json.dumps(self._facts, indent=1, default=str).encode() + b"\n")
        places = self.places(part)
        data = part_bytes(self._keys[places.start : places.stop], found)
        return found if self._store.put_new(_name(part), data) else self.get(part)

    def get(self, part: int) -> PartValues:
        """Reads a part. Raises FileNotFoundError, and IntegrityError for one that was altered."""
        name, places = _name(part), self.places(part)
        keys, where = self._keys[places.start : places.stop], f"{self._store.url}/{name}"
        most = len(keys) * (4 * self._width + 64) + 4 * sum(map(len, keys)) + _MORE_BYTES
        if self._store.size(name) > most:
            raise _altered(f"more than {most:,} bytes", where)
        try:
            return _part_of(self._store.read(name), keys, self._width)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise _altered(str(error).splitlines()[0][:200] if str(error) else type(error).__name__, where) from error


def part_bytes(keys: Sequence[str], found: PartValues) -> bytes:
    """Returns a part as a Parquet file with checksums: the same bytes for the same part."""
    width = found.values.shape[1]
    features = pa.FixedSizeListArray.from_arrays(pa.array(found.values.reshape(-1), pa.float32()), width)
    columns = {"key": pa.array(keys, pa.string()), "reason": pa.array(found.reasons, pa.string()), "features": features}
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table(columns),
        sink,
        compression={"key": "zstd", "reason": "zstd", "features.list.element": "none"},
        use_dictionary=["reason"],
        write_statistics=["key", "reason"],
        store_schema=False,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def _part_of(data: bytes, keys: Sequence[str], width: int) -> PartValues:
    """Raises ValueError, KeyError, OSError or ArrowException for a file that is not the part of these keys."""
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, page_checksum_verification=True)
    if file.metadata.num_rows != len(keys):
        raise ValueError(f"{file.metadata.num_rows:,} rows, {len(keys):,} expected")
    table = file.read(columns=["key", "reason", "features"], use_threads=False).combine_chunks()
    if table["key"].to_pylist() != list(keys):
        raise ValueError("other keys than the set has")
    values = table["features"].combine_chunks().flatten()
    if values.type != pa.float32() or len(values) != len(keys) * width:
        raise ValueError(f"{len(values):,} numbers of {values.type}, {len(keys):,} x {width:,} of float expected")
    reasons = tuple(str(reason) for reason in table["reason"].to_pylist())
    found = np.asarray(values, np.float32).reshape(len(keys), width)
    if not np.isfinite(found).all():
        raise ValueError("numbers that are not finite")
    return PartValues(found, reasons)


def _name(part: int) -> str:
    return f"{part:06d}.parquet"


def _altered(what: str, where: str) -> IntegrityError:
    return IntegrityError(f"not the features that were written: {what}", where, "delete the file, and run it again")
