"""What is stored of an image. Decoder processes import this file, so it loads nothing else."""

from dataclasses import dataclass
from typing import Literal

MAX_JPEG_SIDE = 65_500  # pixels, the limit of libjpeg
Resize = Literal["keep_ratio", "keep_ratio_largest", "center_crop", "border", "no"]
Reencode = Literal["auto", "always", "never"]
RestartInterval = Literal["auto"] | int


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What is stored of an image; sides in pixels."""

    image_size: int
    quality: int  # of the JPEG
    min_side: int
    max_pixels: int
    max_aspect: float | None = None
    resize: Resize = "keep_ratio"
    only_if_bigger: bool = True
    reencode: Reencode = "always"
    restart_interval: RestartInterval = 0  # MCUs between restart markers; 0: no markers, auto: by `interval_of`
