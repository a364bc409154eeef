"""The order in which a training set is seen: shuffled passes, one after the other, as a function of seed and step alone."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tagmill.pipeline import LoaderConfig
from tagmill.shards.arrays import Int64s
from tagmill.training.step.seeds import seed_of


class Turns(NamedTuple):
    """The images of a step, b of them."""

    places: Int64s  # [b], in the set
    passes: Int64s  # [b], how often the whole set was seen before


class SetOrder:
    """The order of `images` images in steps, and where a run is in it. A step may have images of two passes, or of more where
    a set is smaller than a step; so every image is seen equally often, give or take one."""

    def __init__(self, config: LoaderConfig, images: int, digest: str, seed: int) -> None:
        """`config`: its batch size is that of a step. `digest`: of the set."""
        self.config, self.images, self._digest, self._seed = config, images, digest, seed
        self._shuffled = lru_cache(2)(self._pass)
        self.step = 0
        """Steps that are done."""
        self.skipped = Counter[str]()
        """Images that could not be used in the first pass, by reason."""

    @property
    def batches_per_epoch(self) -> int:
        """Steps that begin in a pass."""
        return -(-self.images // self.config.batch_size)

    def turns(self, step: int) -> Turns:
        """Returns the images of a step, counted from 0."""
        turn = np.arange(step * self.config.batch_size, (step + 1) * self.config.batch_size)
        passes, within = np.divmod(turn, self.images)
        places = np.empty_like(turn)
        for number in np.unique(passes).tolist():
            rows = passes == number
            places[rows] = self._shuffled(number)[within[rows]]
        return Turns(places, passes)

    def state_dict(self) -> dict[str, object]:
        """Returns the place in the order, as JSON has it."""
        epoch, turn = divmod(self.step * self.config.batch_size, self.images)
        skipped = dict(sorted(self.skipped.items()))
        state = {"epoch": epoch, "turn": turn, "manifest": self._digest, "view": "train"}
        return {**state, "step": self.step, "skipped": skipped}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continues from a place."""
        step, skipped = state["step"], state["skipped"]
        assert isinstance(step, int) and isinstance(skipped, dict)
        self.step, self.skipped = step, Counter(skipped)

    def _pass(self, number: int) -> Int64s:
        return np.random.default_rng(seed_of(self._seed, number)).permutation(self.images)
