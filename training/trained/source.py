"""Finds a trained model by what a person calls it."""

from pathlib import Path

from tagmill.shards import ConfigError, Store
from tagmill.training.trained.folder import CONFIG_FILE, WEIGHTS_FILE, is_folder, read_folder
from tagmill.training.trained.model import Trained
from tagmill.training.trained.run_folder import Which, is_run, read_run
from tagmill.training.trained.timm_weights import PREFIX, read_timm
from tagmill.training.trained.weight_file import SUFFIX, read_weights, split_address

KINDS = "give a run's output, a checkpoint, an exported folder, a .safetensors file (path or URL) or timm:NAME"


def read_trained(source: str, which: Which = "auto", step: str = "auto") -> Trained:
    """Reads a model. `source`: the output of a run, a checkpoint, an exported folder or a `.safetensors` file (paths or
    URLs), or `timm:NAME`. `which` and `step` are for runs: see `read_run`. Raises TagmillError."""
    if source.startswith(PREFIX):
        return read_timm(source)
    if source.endswith(SUFFIX):
        store, name = split_address(source)
        if name == WEIGHTS_FILE and is_folder(store):
            return read_folder(store.url)
        return Trained(source, read_weights(source))
    if "://" not in source and not Path(source).exists():
        raise ConfigError("no such file or folder", source, KINDS)
    if is_run(source):
        return read_run(source, which, step)
    if is_folder(Store(source)):
        return read_folder(source)
    raise ConfigError(f"neither a run nor a model: no checkpoint, no {CONFIG_FILE}", source, KINDS)
