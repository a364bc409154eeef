"""Tests the average of the weights against its closed form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tagmill.training.model.ema import WeightAverage


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@settings(deadline=None, max_examples=50)
@given(
    half_life=st.integers(1, 10**9),
    images=st.integers(1, 10**5),
    history=st.lists(st.integers(-1000, 1000), min_size=1, max_size=20),
    seed=st.integers(0, 99),
)
def test_it_is_the_closed_form_of_the_weights_history(
    half_life: int, images: int, history: list[int], seed: int
) -> None:
    """After t steps: d^(t-1) w(1) + the sum over s = 2..t of (1 - d) d^(t-s) w(s), with d = 2^-(images / half-life)."""
    draw, model = torch.Generator().manual_seed(seed), network()
    average = WeightAverage(model, half_life, images)
    weights = list[torch.Tensor]()
    for step, scale in enumerate(history):
        with torch.no_grad():
            model[0].weight.copy_(scale * torch.randn(2, 3, generator=draw))
            model[1].running_mean.copy_(model[0].weight[:, 0])
            model[1].num_batches_tracked.fill_(scale)
        weights.append(model[0].weight.detach().double())
        average.follow(model, step)
    decay = 2.0 ** (-images / half_life)
    shares = [(1 - decay) * decay ** (len(history) - 1 - step) for step in range(len(history))]
    shares[0] = decay ** (len(history) - 1)
    assert sum(shares) == pytest.approx(1)
    wanted = sum(share * weight for share, weight in zip(shares, weights, strict=True))
    bound = 1e-5 * max(float(weight.abs().max()) for weight in weights) + 1e-30
    linear, norm = average.module
    assert torch.allclose(linear.weight.double(), torch.as_tensor(wanted), rtol=0, atol=bound)
    assert torch.equal(norm.running_mean, linear.weight[:, 0])  # statistics are averaged as weights are
    assert int(norm.num_batches_tracked) == history[-1]  # counts are copied


def test_half_of_a_weight_is_left_after_the_half_life() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 800, 100)
    for step in range(9):  # 8 steps after the first
        nn.init.constant_(model.weight, float(step > 0))
        average.follow(model, step)
    assert average.module.weight.item() == pytest.approx(0.5)
    assert not average.training and not average.module.weight.requires_grad


def test_an_average_that_was_saved_goes_on_as_if_it_had_not_been() -> None:
    model, averages = network(), list[WeightAverage]()
    whole = WeightAverage(model, 10, 4)
    for step in range(6):
        nn.init.normal_(model[0].weight)
        whole.follow(model, step)
        if step == 2:
            averages.append(WeightAverage(network(), 10, 4))
            averages[0].module.load_state_dict(whole.module.state_dict())
        for resumed in averages if step > 2 else ():
            resumed.follow(model, step)
    assert torch.equal(averages[0].module[0].weight, whole.module[0].weight)
