"""Tests torch's settings of a GPU; torch keeps them without one as well."""

from dataclasses import replace

import pytest
import torch

from tagmill.training.parallel.backends import gpu_settings
from tests.training.runs import VIT


def settings() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark


@pytest.mark.parametrize("tf32", [True, False])
@pytest.mark.parametrize(("size", "measured"), [(32, True), ("16-32:16", False)])
def test_settings_are_those_of_the_run_and_then_as_before(tf32: bool, size: int | str, measured: bool) -> None:
    before = settings()
    config = replace(VIT, tf32=tf32, size=size)
    with pytest.raises(InterruptedError), gpu_settings(config, "cuda:0"):
        assert settings() == (tf32, tf32, measured)
        raise InterruptedError
    assert settings() == before


def test_nothing_changes_on_a_cpu() -> None:
    before = settings()
    with gpu_settings(replace(VIT, tf32=not before[0]), "cpu"):
        assert settings() == before
