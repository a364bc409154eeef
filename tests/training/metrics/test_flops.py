"""Tests the operations of a model against formulas, and the table of GPUs."""

from dataclasses import replace

import pytest
import torch

from tagmill.training.metrics.flops import PEAKS, device_peak, peak_flops, training_flops
from tests.training.runs import VIT


def test_a_transformer_has_the_operations_of_its_formula() -> None:
    """Two operations for each multiplication and addition, three passes. test_vit: width 64, 6 blocks of 2 heads, mlp 3."""
    width, depth, tokens, labels = 64, 6, (32 // 16) ** 2 + 1, 7
    block = 4 * width**2 + 2 * 3 * width**2
    attention = 2 * tokens * width
    forward = 2 * (depth * tokens * (block + attention) + (tokens - 1) * width * 3 * 16**2 + width * labels)
    assert training_flops(VIT, labels) == {32: 3 * forward}


def test_every_size_of_a_run_has_its_own_number() -> None:
    config = replace(VIT, model="test_resnet", model_args={}, size="32-64:32")
    found = training_flops(config, 5)
    assert set(found) == {32, 64} and 3.9 < found[64] / found[32] < 4.1
    assert training_flops(replace(config, size=64), 5) == {64: found[64]}


@pytest.mark.parametrize(
    ("name", "bf16", "tf32", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989.5, 494.5, 67),
        ("NVIDIA H100 PCIe", 756.5, 378, 51),
        ("NVIDIA H200", 989.5, 494.5, 67),
        ("NVIDIA H200 NVL", 835.5, 417.5, 60),
        ("NVIDIA A100-SXM4-80GB", 312, 156, 19.5),
        ("NVIDIA A100 80GB PCIe", 312, 156, 19.5),
        ("Tesla V100-SXM2-16GB", None, None, 15.7),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None, None, None),
        ("NVIDIA GeForce RTX 9090", None, None, None),
    ],
)
def test_the_peak_of_a_gpu_by_the_name_of_its_driver(
    name: str, bf16: float | None, tf32: float | None, fp32: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"bf16": bf16, "tf32": tf32, "fp32": fp32}
    for precision, peak in wanted.items():
        assert peak_flops(name, precision) == (None if peak is None else peak * 1e12)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    for precision, own in (("bf16", "bf16"), ("tf32", "fp32"), ("fp32", "fp32")):
        config = replace(VIT, precision=own, tf32=precision != "fp32")  # type: ignore[arg-type]
        assert device_peak(config, "cuda:0") == peak_flops(name, precision)
    assert device_peak(VIT, "cpu") is None


def test_tensor_cores_are_faster_the_fewer_bits_they_have() -> None:
    for name, peaks in PEAKS:
        order = [peaks[precision] for precision in ("bf16", "tf32", "fp32") if precision in peaks]
        assert order == sorted(order, reverse=True), name
