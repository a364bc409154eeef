"""Options of images: what is stored of them, and how they are decoded."""

from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from tagmill.ingest.config.image_policy import MAX_JPEG_SIDE, ImagePolicy, Reencode, Resize, RestartInterval
from tagmill.ingest.config.options import Options
from tagmill.ingest.config.stages import FETCH, NO_BYTE
from tagmill.shards.errors import ConfigError
from tagmill.shards.settings.ranges import Between, Count, Seconds


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """What is stored of an image, and how it is decoded."""

    image_size: Annotated[int, Between(8, MAX_JPEG_SIDE)] = field(default=256, metadata=FETCH)
    """Side of stored images, pixels; resize says which side."""
    resize: Resize = field(default="keep_ratio", metadata=FETCH)
    """What becomes image_size: the short side (keep_ratio), the long side (keep_ratio_largest), a square cut out
    (center_crop), a square with white borders (border), or nothing (no)."""
    only_if_bigger: bool = field(default=True, metadata=FETCH)
    """Leave smaller images as they are; otherwise they are enlarged."""
    reencode: Reencode = field(default="always", metadata=FETCH)
    """Encode every image again (always), only where it is needed (auto), or reject images that need it (never)."""
    quality: Annotated[int, Between(1, 100)] = field(default=90, metadata=FETCH)
    """JPEG quality."""
    restart_interval: Literal["auto"] | Annotated[int, Between(0, 65_535)] | None = field(default=None, metadata=FETCH)
    """Most MCUs (blocks of 16 x 16 pixels) between restart markers, at which a JPEG can be cut; 0 for none. By default
    that of the corpus, for a new one auto: by the image's size."""
    min_side: Count = field(default=16, metadata=FETCH)
    """Minimum length of the shorter side, pixels; smaller images are rejected."""
    max_pixels: Count = field(default=200_000_000, metadata=FETCH)
    """Maximum number of pixels; larger images are rejected before they are decoded."""
    max_aspect: Annotated[float, Between(1)] | None = field(default=None, metadata=FETCH)
    """Maximum ratio of the long side to the short side; other images are rejected."""
    decoders: Count = field(default=1, metadata=NO_BYTE)
    """Decoder processes per worker process; a crash of one loses one image and not the run."""
    decode_timeout: Seconds = field(default=60.0, metadata=NO_BYTE)
    """Seconds to decode one image; after that its decoder process is killed and the image rejected."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reencode == "never" and self.resize != "no":
            raise ConfigError("images that are never encoded again cannot be resized", "--reencode", "add --resize no")
        if self.reencode == "never" and self.restart_interval:
            remedy = "leave it out, or use --reencode auto"
            raise ConfigError(
                "images that are never encoded again get no restart markers", "--restart-interval", remedy
            )
        if not self.only_if_bigger and self.resize == "no":
            raise ConfigError("nothing is enlarged where nothing is resized", "--no-only-if-bigger", "leave it out")
        if not self.only_if_bigger and self.image_size**2 > self.max_pixels:
            remedy = "give a smaller --image-size or a larger --max-pixels"
            raise ConfigError("enlarged images would have more pixels than max_pixels", "--no-only-if-bigger", remedy)

    @property
    def markers(self) -> RestartInterval:
        """The restart interval of the images, where no corpus and no unfinished run has another."""
        if self.reencode == "never":
            return 0
        return "auto" if self.restart_interval is None else self.restart_interval

    @property
    def images(self) -> ImagePolicy:
        """What decides a stored image."""
        values = {each.name: getattr(self, each.name) for each in fields(ImagePolicy)}
        return ImagePolicy(**{**values, "restart_interval": self.markers})

    def image_policy(self) -> dict[str, Any]:
        """What `corpus.json` says about the images."""
        sampling = "4:2:0" if self.reencode == "always" else "4:2:0 or 4:4:4"
        how = {"filter": "box" if self.only_if_bigger else "box, lanczos to enlarge"}
        policy = asdict(self.images)
        if not policy["restart_interval"]:  # as in a corpus from before the field, which can so be extended
            del policy["restart_interval"]
        return {**policy, **how, "format": f"baseline JPEG {sampling}, sRGB"}
