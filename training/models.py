"""The network of a run: timm's, with a last layer that computes in float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any, cast

import timm
import torch
from torch import nn
from torch.nn.utils import skip_init

from tagmill.shards import ConfigError
from tagmill.training.config import TrainConfig
from tagmill.training.losses import SIGMOID_BIAS


def build_model(config: TrainConfig, num_classes: int) -> nn.Module:
    """Builds the model, with one output for each label. Raises ConfigError for a name or argument unknown to timm."""
    try:
        model = cast(nn.Module, timm.create_model(config.model, num_classes=num_classes, **config.model_args))
    except (RuntimeError, TypeError) as error:
        near = ", ".join(timm.list_models(f"{config.model[:6]}*")[:9])
        what = f"no model {config.model!r} with {config.model_args or 'no arguments'}: {error}"
        raise ConfigError(what, "timm", f"similar names: {near or 'none'}") from error
    head = compute_head_in_float32(model)
    if config.loss == "sigmoid" and head is not None and head.bias is not None:
        nn.init.constant_(head.bias, SIGMOID_BIAS)
    return model


def check_model(config: TrainConfig) -> None:
    """Runs an image of each size of the run through the model without data or memory (torch's meta device), so that a size
    that the network does not take is found before a corpus is opened. Raises ConfigError."""
    size = config.loader_config().size
    sides = {config.evaluation_size or 0, *((size,) if isinstance(size, int) else size.sides)} - {0}
    for side in sorted(sides):
        # NotImplementedError: the network looks at its numbers, of which there are none; only a run will show.
        with torch.device("meta"), torch.inference_mode(), suppress(NotImplementedError):
            try:
                build_model(config, 2).eval()(torch.empty(1, 3, side, side))
            except (RuntimeError, AssertionError, ValueError, TypeError) as error:
                if isinstance(error, NotImplementedError | ConfigError) or "meta tensors" in str(error):
                    continue
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                remedy = (
                    "give sizes that suit the model (of timm, a ViT with --model-args.img-size N, or dynamic_img_size)"
                )
                raise ConfigError(
                    f"{config.model} takes no images of {side} pixels: {first}", "train", remedy
                ) from error


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 under autocast. With logits in bfloat16 many labels of a large vocabulary
    are equal, and the best of them is the one that comes first."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with _no_autocast(features):
            return super().forward(features.float())


class Float32Conv(nn.Conv2d):
    """The same for networks whose last layer is a convolution of 1 x 1 pixels."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with _no_autocast(features):
            return super().forward(features.float())


def _no_autocast(features: torch.Tensor) -> AbstractContextManager[object]:
    kind = features.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def compute_head_in_float32(model: nn.Module) -> Float32Linear | Float32Conv | None:
    """Puts a layer with the same weights and name, which computes in float32, in place of the model's classifier. Returns
    it; None if the model has none that is a linear layer or a convolution."""
    classifier: Any = getattr(model, "get_classifier", lambda: None)
    head = classifier()
    path = next((name for name, module in model.named_modules() if module is head), None)
    if head is None or not path or type(head) not in (nn.Linear, nn.Conv2d):
        return None
    shape = {"bias": head.bias is not None, "device": head.weight.device, "dtype": head.weight.dtype}
    made: Float32Linear | Float32Conv
    if isinstance(head, nn.Linear):
        made = skip_init(  # type: ignore[no-untyped-call]
            Float32Linear, head.in_features, head.out_features, **shape
        )
    elif (head.kernel_size, head.groups) == ((1, 1), 1):
        made = skip_init(  # type: ignore[no-untyped-call]
            Float32Conv, head.in_channels, head.out_channels, 1, **shape
        )
    else:
        return None
    made.weight, made.bias = head.weight, head.bias
    parent, _, own = path.rpartition(".")
    setattr(model.get_submodule(parent), own, made)
    return made


def has_batch_statistics(model: nn.Module) -> bool:
    """Returns whether the network normalises over the images of a batch."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within it, batch normalisation uses its running statistics and does not change them."""
    norms = [
        module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    with ExitStack() as stack:
        for module in norms:
            module.eval()
            stack.callback(module.train)
        yield


def weights_are_finite(model: nn.Module) -> bool:
    """Returns whether no weight or buffer is infinite or NaN. Waits for the device."""
    with torch.no_grad():
        values = [value for value in model.state_dict().values() if value.is_floating_point()]
        norms = torch.stack([value.float().abs().amax() for value in values if value.numel()])
    return bool(torch.isfinite(norms).all())
