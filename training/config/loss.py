"""What a model is taught."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between

SIGMOID_BIAS = -10.0
"""Bias of the last layer at the start of training with sigmoids, of thousands of labels nearly all are wrong: BiT's."""


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What the model is taught."""

    loss: Literal["softmax", "sigmoid"] = "softmax"
    """softmax: cross-entropy with a target of 1/k on each of an image's k labels. sigmoid: one yes-or-no question a label."""
    smoothing: Annotated[float, Between(0, 1)] = 0.0
    """Label smoothing: the share of a target that is spread over all labels."""
    head_bias: Annotated[float, Between(-100, 100)] | None = None
    """Bias of the last layer at the start; by default -10 with sigmoid, and the network's own with softmax."""
    label_weights: Literal["equal", "idf"] = "equal"
    """Weights of the labels within an image: equal, or their inverse document frequencies, so that rare ones count more."""
    shuffle_labels: bool = False
    """As a control, train each image with the labels of another one."""

    @property
    def first_head_bias(self) -> float | None:
        """The bias of the last layer at the start; None leaves it as the network has it."""
        return self.head_bias if self.loss == "softmax" or self.head_bias is not None else SIGMOID_BIAS
