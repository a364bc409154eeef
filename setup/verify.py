"""Checks the image library that was installed, because a missing codec shows only as failing pictures, months later.

Warns of compiled modules that are missing, because their replacements are slower and give no warning."""

import sys
from pathlib import Path

from PIL import __version__, features

NEEDED = {"jpg": "libjpeg-dev", "libjpeg_turbo": "libjpeg-turbo", "webp": "libwebp-dev", "zlib": "zlib1g-dev"}
WANTED = {"avif": "libavif-dev 1.0 or newer", "libtiff": "libtiff-dev", "littlecms2": "liblcms2-dev"}

missing = [package for feature, package in NEEDED.items() if not features.check(feature)]
if missing:
    sys.exit(
        f"[setup] Pillow {__version__} was built without {', '.join(missing)}: install that and run make setup again"
    )
without = [feature for feature in WANTED if not features.check(feature)]
flavour = "pillow-simd" if "post" in __version__ else "pillow"
print(
    f"[setup] {flavour} {__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}, WebP {features.version('webp')}"
)
if without:
    print(f"[setup] left out, so such pictures are counted as rejects: {', '.join(without)}")
ROOT = Path(__file__).parents[1]
COMPILED = {
    "shards/storage/_pieces": "the loader's threads take a seventh more processor time to read",
    "pipeline/decode/_windows": "the loader on a CPU decodes with Pillow, in twice the time",
    "ingest/images/_planes": "ingest makes JPEGs smaller by way of RGB, which takes a third more time",
}
for name, cost in COMPILED.items():
    if not list(ROOT.glob(f"{name}.*so")):
        print(f"[setup] WARNING: {name} was not compiled, so {cost}; pip install -v --no-build-isolation -e . says why")
