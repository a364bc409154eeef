"""The floating-point operations of a model, and how many a GPU could do."""

import json
from contextlib import suppress

import torch
from torch.utils.flop_counter import FlopCounterMode

from tagmill.training.config.train import TrainConfig
from tagmill.training.model.build import build_model
from tagmill.training.model.outline import outlined

# Dense peaks in FLOP/s by the name that the driver gives, without sparsity: V100 data sheet (NVIDIA, January 2020), A100 data
# sheet (June 2021), H100 data sheet (2,430,615, 2023) and H200 data sheet (2024), whose tensor-core figures are with sparsity
# and are halved here. The first name that fits is taken; a slice of a GPU (MIG) fits none.
_V100, _V100_PCIE = {"fp32": 15.7e12}, {"fp32": 14e12}
_A100 = {"bf16": 312e12, "tf32": 156e12, "fp32": 19.5e12}
_HOPPER_SXM = {"bf16": 989.5e12, "tf32": 494.5e12, "fp32": 67e12}
_HOPPER_NVL = {"bf16": 835.5e12, "tf32": 417.5e12, "fp32": 60e12}
PEAKS: tuple[tuple[str, dict[str, float]], ...] = (
    ("V100-SXM2", _V100),
    ("V100-PCIE", _V100_PCIE),
    ("A100", _A100),
    ("H100 PCIe", {"bf16": 756.5e12, "tf32": 378e12, "fp32": 51e12}),
    ("H100 NVL", _HOPPER_NVL),
    ("H100 80GB HBM3", _HOPPER_SXM),
    ("H200 NVL", _HOPPER_NVL),
    ("H200", _HOPPER_SXM),
)


def training_flops(config: TrainConfig, labels: int) -> dict[int, int]:
    """Returns the floating-point operations of a training step for one image, by the pixels of its side: three times those
    of the forward pass, of which matrix products, convolutions and attention are counted (torch's FlopCounterMode). What is
    computed again to save memory does not count. A network that cannot run without data is left out.

    Counted once, on torch's meta device, which needs no memory.
    """
    size = config.loader_config().size
    sides = tuple(sorted({size} if isinstance(size, int) else set(size.sides)))
    key = (config.model, json.dumps(config.model_args, sort_keys=True), labels, sides)
    if key not in _COUNTED:
        _COUNTED[key] = _counted(config, labels, sides)
    return _COUNTED[key]


_COUNTED: dict[tuple[object, ...], dict[int, int]] = {}


def _counted(config: TrainConfig, labels: int, sides: tuple[int, ...]) -> dict[int, int]:
    found = dict[int, int]()
    with outlined():
        model = build_model(config, labels).eval()
    with torch.device("meta"), torch.no_grad():
        for side in sides:
            with suppress(NotImplementedError, RuntimeError), FlopCounterMode(display=False) as counter:
                model(torch.empty(1, 3, side, side))
                found[side] = 3 * int(counter.get_total_flops())
    return found


def peak_flops(name: str, precision: str) -> float | None:
    """Returns what a GPU could do at most, FLOP/s, in "bf16", "tf32" or "fp32"; None for one that is not known."""
    if "MIG" in name:
        return None
    return next((peaks.get(precision) for part, peaks in PEAKS if part in name), None)


def device_peak(config: TrainConfig, device: str) -> float | None:
    """Returns the peak of this process's GPU at the precision of the run; None on a CPU and for an unknown GPU."""
    if torch.device(device).type != "cuda":
        return None
    precision = "bf16" if config.precision == "bf16" else "tf32" if config.tf32 else "fp32"
    return peak_flops(torch.cuda.get_device_name(device), precision)
