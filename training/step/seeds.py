"""Seeds of a step's randomness, which a resumed run repeats."""

import hashlib

import torch


def seed_of(*numbers: int) -> int:
    """Returns a seed of 63 bits for a sequence of numbers."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:8], "big") >> 1


def begin_randomness(device: str, *numbers: int) -> None:
    """Makes dropout and the like on `device` a function of a sequence of numbers.

    Unlike `torch.manual_seed`, it leaves devices alone that are not in use: that one notes its call for each of them with a
    copy of the stack, which costs more than the rest of a step's bookkeeping and is kept until the process ends.
    """
    seed = seed_of(*numbers)
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        torch.cuda.manual_seed(seed)
