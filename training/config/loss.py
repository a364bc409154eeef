"""What a model is taught."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What the model is taught."""

    loss: Literal["softmax", "sigmoid"] = "softmax"
    """softmax: cross-entropy with a target of 1/k on each of an image's k labels. sigmoid: one yes-or-no question a label."""
    smoothing: Annotated[float, Between(0, 1)] = 0.0
    """Label smoothing: the share of a target that is spread over all labels."""
    label_weights: Literal["equal", "idf"] = "equal"
    """Weights of the labels within an image: equal, or their inverse document frequencies, so that rare ones count more."""
    shuffle_labels: bool = False
    """As a control, train each image with the labels of another one."""
