"""Options for decoding on a GPU that depend on measurements (`make bench-gpu`, docs/how-to/gpu.md)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tagmill.shards.settings.ranges import Between, Share, check_fields

MOST_DEPTH = 3  # batches in the decoder: more are not assembled in advance


@dataclass(frozen=True)
class Decoding:
    """Options of the GPU decoder. They do not change the crops, and pixels only by a few levels."""

    window: Literal["auto", "cut", "region", "full"] = "auto"
    """cut: images with restart markers are cut to their window first, then the cut is decoded whole, also by a hardware
    decoder, which does not decode regions; images without markers are decoded whole. region: the decoder decodes only
    the window. full: the whole image is decoded, and its window is resized. auto: cut if at least half of the samples
    are from corpora with restart markers, else region."""
    dali_share: Share = 0.5
    """With backend both: the share of the batches that DALI makes, to the nearest eighth; the CPU makes the others."""
    hw_decoder_load: Share = 0.65
    """The share of a batch that the GPU's hardware JPEG decoder gets, if there is one; DALI's default."""
    fancy_upsampling: bool = True
    """Interpolates chroma, as Pillow and the CPU backends do, instead of repeating it."""
    depth: Annotated[int, Between(1, MOST_DEPTH)] = 2
    """Batches that are in the decoder at a time: one is awaited while the next is decoded."""
    share_bytes: bool = True
    """DALI reads encoded images in place, instead of copying them first."""
    fused: bool = False
    """Runs normalisation and mixup as one kernel, which torch.compile compiles during the first batch."""

    def __post_init__(self) -> None:
        check_fields(self, "decoding")
