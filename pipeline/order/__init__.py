"""Defines the order of samples on every rank: pure arithmetic, without torch.

Used from outside: epoch_space, mixture, plan, schedule, state.
"""
