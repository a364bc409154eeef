"""The objects of a run's checkpoints: their names, the record that makes a checkpoint whole, and which there are.

`checkpoints/STEP/` has the tensors (safetensors), `metadata.json`, `vocabulary.json`, and `done.json`, which is written
last. A checkpoint without `done.json` does not exist.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from tagmill.shards import ConfigError, IntegrityError, Store, TagmillError

FORMAT = 2  # 1 was checkpoint.pt
FOLDER = "checkpoints"
DONE, METADATA, VOCABULARY = "done.json", "metadata.json", "vocabulary.json"
TRANSFORM = "transform.json"
"""How the network wants its images, where these are not the images of the loader's evaluation."""
BEFORE = "checkpoint.pt"
"""The newest checkpoint of a run of earlier versions."""
MOST_DONE, MOST_METADATA = 1 << 26, 1 << 30  # bytes
ANOTHER = "give --resume STEP of another step, or --resume never to start over"
_DONE_NAME = re.compile(rf"{FOLDER}/(0|[1-9]\d{{0,17}})/{re.escape(DONE)}")
_OBJECT_NAME = re.compile(r"[a-z0-9-]+\.(json|safetensors)")


class Sized(NamedTuple):
    """An object's length in bytes and its sha256, 64 hex digits."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Done:
    """The record of a whole checkpoint."""

    step: int
    images: int
    steps: int
    """Steps of the whole run, as it was planned."""
    serial: int
    """Number of the checkpoint among all that were written into the output: the newest has the largest."""
    score: float | None
    """Accuracy on held-out images at this step, if it was the best so far."""
    world: int
    identity: Mapping[str, Any]
    loader: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    """The optimiser's values that are not tensors, by their names."""
    objects: Mapping[str, Sized]
    format: int = FORMAT

    def json(self) -> bytes:
        """Returns the file's bytes. Raises ValueError for a number that JSON does not have."""
        return json.dumps(asdict(self), indent=1, allow_nan=False).encode()

    @classmethod
    def parse(cls, data: bytes, where: str) -> "Done":
        """Parses the bytes of `json`. Raises IntegrityError for anything else."""
        try:
            content = json.loads(data)
            if content.get("format") != FORMAT:
                what = f"a checkpoint of format {content.get('format')!r}, this version reads {FORMAT}"
                raise IntegrityError(what, where, ANOTHER)
            if (names := {entry.name for entry in fields(cls)}) != set(content):
                raise ValueError(f"unknown or missing: {', '.join(map(str, sorted(names ^ set(content))))[:200]}")
            for name in ("step", "images", "steps", "serial", "world"):
                if type(content[name]) is not int or content[name] < 0:
                    raise ValueError(f"{name} is not a whole number")
            if content["score"] is not None and type(content["score"]) is not float:
                raise ValueError("score is not a number")
            for name in ("identity", "loader", "values", "objects"):
                if not isinstance(content[name], dict):
                    raise ValueError(f"{name} is not a table")
            objects = {name: _sized(name, entry) for name, entry in content["objects"].items()}
            return cls(**{**content, "objects": objects})
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise IntegrityError(f"not a whole checkpoint: {error}", where, ANOTHER) from error


def folder_of(step: int) -> str:
    """Returns the prefix of a step's objects, without a slash at its end."""
    return f"{FOLDER}/{step}"


def steps_there(store: Store) -> list[int]:
    """Returns the steps whose checkpoint is whole, in rising order. One listing."""
    found = (_DONE_NAME.fullmatch(name) for name, _ in store.listing(FOLDER))
    return sorted(int(match[1]) for match in found if match)


def read_done(store: Store, step: int) -> Done:
    """Reads the record of a checkpoint. Raises IntegrityError if it is damaged, and ConfigError if there is none."""
    name = f"{folder_of(step)}/{DONE}"
    try:
        data = _bounded(store, name, MOST_DONE)
    except FileNotFoundError as error:
        steps = ", ".join(map(str, steps_there(store))) or "none"
        what, remedy = f"no checkpoint of step {step}", f"steps that are kept: {steps}; auto takes the newest"
        raise ConfigError(what, store.url, remedy) from error
    done = Done.parse(data, f"{store.url}/{name}")
    if done.step != step:
        raise IntegrityError(f"the checkpoint of step {done.step}, not {step}", f"{store.url}/{name}", ANOTHER)
    return done


def read_all(store: Store) -> tuple[dict[int, Done], dict[int, TagmillError]]:
    """Reads the records of all whole checkpoints, by step; and what is wrong with those that are damaged."""
    records, damaged = dict[int, Done](), dict[int, TagmillError]()
    for step in steps_there(store):
        try:
            records[step] = read_done(store, step)
        except IntegrityError as error:
            damaged[step] = error
    return records, damaged


def newest(records: Mapping[int, Done]) -> int | None:
    """Returns the step of the checkpoint that was written last; None if there is none."""
    return max(records, key=lambda step: records[step].serial, default=None)


def best(records: Mapping[int, Done]) -> int | None:
    """Returns the step of the best checkpoint by its score, the earliest of equals; None if none has a score."""
    scored = [(-done.score, step) for step, done in records.items() if done.score is not None]
    return min(scored)[1] if scored else None


def read_object(store: Store, done: Done, name: str) -> bytes:
    """Reads an object of a checkpoint. Raises IntegrityError if it is missing or differs from its record."""
    where, kept = f"{store.url}/{folder_of(done.step)}/{name}", done.objects.get(name)
    if kept is None:
        raise IntegrityError(f"the checkpoint has no {name}", where, ANOTHER)
    try:
        data = _bounded(store, f"{folder_of(done.step)}/{name}", kept.size)
    except FileNotFoundError as error:
        raise IntegrityError("an object of the checkpoint is missing", where, ANOTHER) from error
    if len(data) != kept.size or hashlib.sha256(data).hexdigest() != kept.sha256:
        raise IntegrityError("an object of the checkpoint was truncated or altered", where, ANOTHER)
    return data


def sized(data: bytes) -> Sized:
    """Returns length and digest of an object."""
    return Sized(len(data), hashlib.sha256(data).hexdigest())


def _bounded(store: Store, name: str, most: int) -> bytes:
    if (size := store.size(name)) > most:
        what = f"{size} bytes, at most {most} expected"
        raise IntegrityError(what, f"{store.url}/{name}", ANOTHER)
    return store.read(name)


def _sized(name: str, entry: Any) -> Sized:
    size, digest = entry
    if (
        not _OBJECT_NAME.fullmatch(name)
        or type(size) is not int
        or size < 0
        or not re.fullmatch("[0-9a-f]{64}", digest)
    ):
        raise ValueError(f"the object {name[:80]!r}")
    return Sized(size, digest)
