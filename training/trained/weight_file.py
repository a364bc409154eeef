"""Reads safetensors files, on this machine or behind a URL. The format holds tensors only: nothing in it is executed."""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file

from tagmill.shards import Store, TagmillError

SUFFIX = ".safetensors"
MOST_BYTES = 32 << 30  # eight times what the largest published network of these papers has
MOST_TEXT = 256 << 20  # of a configuration or a list of labels


def split_address(address: str) -> tuple[Store, str]:
    """Returns the store of a file's folder, and the file's name in it."""
    folder, _, name = address.rpartition("/")
    if address.startswith("/") and not folder:
        folder = "/"
    return Store(folder or "."), name


def read_weights(address: str) -> dict[str, torch.Tensor]:
    """Reads all tensors of a safetensors file. Raises TagmillError for a missing, broken or too large file."""
    store, name = split_address(address)
    checked_size(store, name, MOST_BYTES)
    try:
        if store.root is None:
            return load(store.read(name))
        with safe_open(store.root / name, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise TagmillError(
            f"not a safetensors file, or a truncated one: {error}", address, "copy or export it again"
        ) from error


def write_weights(weights: Mapping[str, torch.Tensor], store: Store, name: str) -> None:
    """Writes tensors as a safetensors file, in one step. Raises TagmillError if the folder cannot be written, or is full."""
    own = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    places = Counter(value.data_ptr() for value in own.values())
    own = {key: value.clone() if places[value.data_ptr()] > 1 else value for key, value in own.items()}
    try:
        if store.root is not None:
            store.root.mkdir(parents=True, exist_ok=True)
        # On the store's own disk, where the file only changes its name.
        with tempfile.TemporaryDirectory(dir=store.root, prefix=".weights-") as folder:
            file = Path(folder, name)
            save_file(own, file, {"format": "pt"})
            store.put(name, file, give=True)
    except (SafetensorError, OSError) as error:
        what = f"cannot write here: {getattr(error, 'strerror', None) or error}"
        raise TagmillError(
            what, f"{store.url}/{name}", "choose another output, or fix its permissions or free space"
        ) from error


def read_text(store: Store, name: str) -> bytes:
    """Reads a small file. Raises TagmillError if it is missing or too large."""
    checked_size(store, name, MOST_TEXT)
    return store.read(name)


def read_json(store: Store, name: str) -> dict[str, Any]:
    """Reads a small file with a JSON object. Raises TagmillError for anything else."""
    where = f"{store.url}/{name}"
    try:
        found = json.loads(read_text(store, name))
    except (ValueError, RecursionError) as error:
        raise TagmillError(f"not JSON: {error}", where, "restore it, or export again") from error
    if not isinstance(found, dict):
        raise TagmillError("not a JSON object", where, "restore it, or export again")
    return found


def checked_size(store: Store, name: str, most: int) -> None:
    """Raises TagmillError for an object that is missing or has more than `most` bytes."""
    where = f"{store.url}/{name}"
    try:
        size = store.size(name)
    except FileNotFoundError as error:
        raise TagmillError("no such file", where, "give the path or URL of a file that exists") from error
    if size > most:
        raise TagmillError(f"{size:,} bytes, more than {most:,}", where, "give a smaller file")
