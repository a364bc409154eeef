"""The images of a step, and how they are altered."""

from dataclasses import dataclass

from tagmill.shards.settings.ranges import Count


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The images of a step, and how they are altered."""

    size: Count | str = 224
    """Pixels of a side; 128-320:32: drawn for each batch; 128-320:32@10: growing over 10 epochs."""
    evaluation_size: Count | None = None
    """Pixels of a side in the evaluation; by default the largest of size."""
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Brightness, contrast, saturation, hue."""
    randaugment: tuple[int, int] = (0, 0)
    """Number of RandAugment operations (1 to 16) and their magnitude (0 to 30)."""
    mixup: float = 0.0
    """Alpha of mixup, 0.01 to 100; 0 for none."""
    batch_size: Count = 256
    """Images of an optimiser step, over all processes."""
    drop_last: bool = False
    """Leave out the last batch of an epoch if it is short."""
