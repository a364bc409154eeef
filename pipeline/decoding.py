"""How images are decoded on a GPU: the choices that only a measurement decides (`make bench-gpu`, docs/how-to/gpu.md)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between, Share, check_fields

MOST_DEPTH = 3  # batches in the decoder: more are not gathered ahead of it


@dataclass(frozen=True)
class Decoding:
    """Whatever is chosen, the crops are the same and the pixels lie within a few levels of each other."""

    window: Literal["region", "full"] = "region"
    """region: only the window of a picture is decoded. full: the picture is, and its window is resized; the hardware decoder of
    some GPUs is said to take no regions."""
    hw_decoder_load: Share = 0.65
    """The share of a batch that the GPU's hardware JPEG decoder gets, where it has one; DALI's default."""
    fancy_upsampling: bool = True
    """Colours between stored ones are interpolated, as Pillow and the CPU backends do, and not repeated."""
    depth: Annotated[int, Between(1, MOST_DEPTH)] = 2
    """Batches that are in the decoder at a time: one is waited for while the next is worked on."""
    share_bytes: bool = True
    """DALI reads encoded pictures where they lie, instead of copying them first."""
    fused: bool = False
    """Normalisation and mixup as one kernel, which torch.compile makes in the first batch's time."""

    def __post_init__(self) -> None:
        check_fields(self, "decoding")
