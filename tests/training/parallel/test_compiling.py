"""Tests what is compiled, with a backend that needs no C++ compiler."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch._dynamo

from tagmill.training.model.build import build_model
from tagmill.training.parallel.blocks import blocks_of
from tagmill.training.parallel.wrap import distributed
from tests.training.runs import VIT


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool | None]]:
    """Whether each part was compiled for varying sizes, in order."""
    asked, usual = list[bool | None](), torch.compile

    def compile_eagerly(function: Callable[..., Any], *, dynamic: bool | None) -> Any:
        asked.append(dynamic)
        return usual(function, dynamic=dynamic, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_eagerly)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8):
        yield asked


CONFIG = replace(VIT, compile=True, model_args={"img_size": 32, "depth": 2})


@pytest.mark.parametrize(("size", "dynamic"), [(32, None), ("16-32:16", True)])
def test_the_network_is_compiled_in_place(compiled: list[bool | None], size: int | str, dynamic: bool | None) -> None:
    config = replace(CONFIG, size=size, ema=100)
    model, images = build_model(config, 5).eval(), torch.randn(2, 3, 32, 32)
    names, wanted = list(model.state_dict()), model(images)
    forward, average = distributed(config, model, 1)
    assert forward is model and compiled == [dynamic]
    assert torch.allclose(forward(images), wanted, atol=1e-5)
    assert list(model.state_dict()) == names
    assert average is not None and average.module._compiled_call_impl is None
    average.follow(model, 0)


@pytest.mark.usefixtures("group")
def test_with_fsdp_each_block_is_compiled(compiled: list[bool | None]) -> None:
    config = replace(CONFIG, parallel="fsdp")
    model, images = build_model(config, 5), torch.randn(2, 3, 32, 32)
    names, wanted = list(model.state_dict()), model(images).detach()
    distributed(config, model, 2)
    assert compiled == [None, None] and all(block._compiled_call_impl is not None for block in blocks_of(model))
    found = model(images)
    assert torch.allclose(found, wanted, atol=1e-5) and list(model.state_dict()) == names
    found.sum().backward()
    assert all(value.grad is not None for value in model.parameters())
