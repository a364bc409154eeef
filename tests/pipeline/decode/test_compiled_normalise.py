"""Tests compiled normalisation and mixup against the plain version."""

import os
import shutil
import threading
from typing import Any

import pytest
import torch

from tagmill.pipeline.batch import DTYPES, Mix, Normalisation, normalise
from tagmill.pipeline.decode import compiled_normalise

pytestmark = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs a C++ compiler")


CASES = [("float32", False), ("bfloat16", True)]
if os.environ.get("TAGMILL_WHOLE"):
    CASES += [("float32", True), ("bfloat16", False)]


@pytest.mark.parametrize(("output", "mixes"), CASES)
def test_the_compiled_version_equals_the_plain_one(output: str, mixes: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (6, 3, 20, 20), dtype=torch.uint8, generator=draw)
    images = images.contiguous(memory_format=torch.channels_last)
    valid = torch.tensor([True, True, False, True, True, False])
    mix = Mix(torch.tensor([1, 0, 2, 4, 3, 5]), torch.tensor([0.3, 0.6, 1.0, 0.5, 0.9, 1.0])) if mixes else None
    how = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), DTYPES[output])
    plain = normalise(images, valid, how, mix)
    found: list[torch.Tensor] = []
    thread = threading.Thread(
        target=lambda: found.append(compiled_normalise.compiled_normalise(images, valid, how, mix))
    )  # as the loader calls it
    thread.start()
    thread.join()
    made: Any = found[0]
    assert made.dtype == plain.dtype and made.is_contiguous(memory_format=torch.channels_last)
    assert float((made.float() - plain.float()).abs().max()) <= (2e-6 if output == "float32" else 2**-7)
    assert not made[2].any() and not made[5].any() and float(made.float().std()) > 0.5


def test_images_of_many_sizes() -> None:
    """More than torch's limit of static compilations, at which it would raise an error."""
    how = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), torch.float32)
    for size in range(8, 8 + 2 * 12, 2):
        images = torch.full((2, 3, size, size), size, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
        made = compiled_normalise.compiled_normalise(images, torch.tensor([True, False]), how)
        torch.testing.assert_close(made, normalise(images, torch.tensor([True, False]), how), rtol=0, atol=2e-6)
