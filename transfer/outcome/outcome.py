"""What a protocol found: the classes that a model gave to the images of a test set."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tagmill.transfer.sets.labelled_set import SetClass


@dataclass(frozen=True)
class Outcome:
    """Predictions of one run of a protocol on n test images. The report computes every figure from these."""

    protocol: str  # linear, knn, few-shot, hyperrule, fine-tune, zero-shot, ...
    model: str
    set: str
    classes: tuple[SetClass, ...]
    keys: npt.NDArray[np.str_]  # [n]
    truth: npt.NDArray[np.int64]  # [n], places in `classes`
    top: npt.NDArray[np.int64]  # [n, k], the k best classes, best first, k = min(5, classes); -1 where there is none
    settings: Mapping[str, object] = field(default_factory=dict)  # what was chosen, with the seed and what was swept
    skipped: Mapping[str, int] = field(default_factory=dict)  # test images left out, by reason
    groups: npt.NDArray[np.str_] | None = None  # [n], for intervals over groups
    accepted: npt.NDArray[np.int64] | None = None
    """[n, m], all right classes of each image, ascending and filled with -1, where images have several; `truth` is the first.
    None: `truth` alone is right."""
