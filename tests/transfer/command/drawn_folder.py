"""A folder of class folders with drawn images, and a small network with weights."""

from pathlib import Path

from safetensors.torch import save_file

from tests.transfer.drawn_set import drawn_set

NETWORK = "test_resnet"


def write_folder(folder: Path, classes: int = 3, each: int = 20, seed: int = 0) -> Path:
    made = drawn_set(classes, each, seed=seed, undecodable=[0])
    for place, example in enumerate(made.examples):
        (folder / f"class{example.labels[0]}").mkdir(parents=True, exist_ok=True)
        (folder / f"class{example.labels[0]}" / f"{place}.jpg").write_bytes(made.images[place] or b"")
    return folder


def write_model(folder: Path, network: str = NETWORK) -> str:
    import timm
    import torch

    torch.manual_seed(0)
    file = folder / "model.safetensors"
    save_file(timm.create_model(network, num_classes=5).state_dict(), file)
    return str(file)
