"""How images of sets are made ready for decoding, the same for features, fine-tuning and the search for near duplicates."""

from tagmill.ingest.config.image_policy import ImagePolicy

MOST_PIXELS = 200_000_000  # of an image, as an ingest takes by default
# Kept in its size; a JPEG stays as it is where every decoder takes it.
IMAGE_POLICY = ImagePolicy(0, 95, min_side=1, max_pixels=MOST_PIXELS, resize="no", reencode="auto")
