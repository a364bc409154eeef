"""What is stored of a picture: the part of the config that decoder processes are told, and no more than that."""

from dataclasses import dataclass
from typing import Literal

Resize = Literal["keep_ratio", "keep_ratio_largest", "center_crop", "border", "no"]
Reencode = Literal["auto", "always", "never"]


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """What is stored of a picture, in pixels."""

    image_size: int
    quality: int  # of the JPEG
    min_side: int
    max_pixels: int
    max_aspect: float | None = None
    resize: Resize = "keep_ratio"
    only_if_bigger: bool = True
    reencode: Reencode = "always"
