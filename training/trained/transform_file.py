"""The image transform of a network as JSON: an object of checkpoints whose images are not those of the loader's evaluation."""

import json
from dataclasses import asdict

from tagmill.shards import IntegrityError
from tagmill.training.trained.model import Transform


def transform_json(transform: Transform) -> bytes:
    """Returns the bytes of a transform."""
    return json.dumps(asdict(transform), indent=1, allow_nan=False).encode()


def parse_transform(data: bytes, where: str) -> Transform:
    """Parses `transform_json`. Raises IntegrityError for anything else."""
    try:
        found = json.loads(data)
        mean, std = (tuple(float(value) for value in found[name]) for name in ("mean", "std"))
        if len(mean) != 3 or len(std) != 3 or not min(std) > 0 or not 0 < found["share"] <= 1 or found["size"] < 1:
            raise ValueError("values out of range")
        return Transform(int(found["size"]), float(found["share"]), mean, std, bool(found["squeezed"]))
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise IntegrityError(f"not an image transform: {error}", where, "take another checkpoint") from error
