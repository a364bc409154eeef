"""Tests the seeds of a step: a function of their numbers, the same as torch's own, and nothing is kept of them."""

import torch

from tagmill.training.step.seeds import begin_randomness, seed_of


def test_a_seed_is_a_function_of_all_its_numbers() -> None:
    seeds = {seed_of(*numbers) for numbers in ((0, 1, 2), (0, 2, 1), (0, 12), (0, 1, 2, 0), (1, 1, 2))}
    assert len(seeds) == 5 and all(0 <= seed < 1 << 63 for seed in seeds)
    assert seed_of(7, 3, 1, 0) == 6132736233888169076


def test_dropout_repeats_after_the_same_numbers_and_is_that_of_torchs_seed() -> None:
    drawn = []
    for numbers in ((5, 1), (5, 2), (5, 1)):
        begin_randomness("cpu", *numbers)
        drawn.append(torch.nn.functional.dropout(torch.ones(64)))
    torch.manual_seed(seed_of(5, 1))
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], torch.nn.functional.dropout(torch.ones(64)))


def test_steps_leave_nothing_behind() -> None:
    """torch.manual_seed adds to this list with every call, where CUDA is not initialised."""
    before = len(torch.cuda._queued_calls)
    for step in range(5):
        begin_randomness("cpu", 0, step)
    assert len(torch.cuda._queued_calls) == before
