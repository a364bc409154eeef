"""Features of a set in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagmill.transfer.sets.labelled_set import SetClass


@dataclass(frozen=True)
class FeatureTable:
    """What a network makes of the images of a set that could be decoded, n of them, in the order of the set."""

    values: npt.NDArray[np.float32]  # [n, d], finite
    labels: npt.NDArray[np.int64]  # [n], places in `classes`: the only label of each image
    keys: npt.NDArray[np.str_]  # [n]
    groups: npt.NDArray[np.str_]  # [n], never '': an example without a group has its key here
    classes: tuple[SetClass, ...]
    skipped: Mapping[str, int]  # images left out, by reason

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "FeatureTable":
        """Returns the table of some rows."""
        return FeatureTable(
            self.values[rows], self.labels[rows], self.keys[rows], self.groups[rows], self.classes, self.skipped
        )
