"""What pillow-simd is worth: decode + resize to short side 256 + encode, on one core, against Pillow in its own environment.

python bench/pixels.py [--images DIR] [--rounds N] [--quick] [--out FILE.json]
"""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def work(files: list[bytes]) -> float:
    """Images per second of the pixel work that ingest does for every picture; needs nothing but PIL."""
    from PIL import Image

    start = time.perf_counter()
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            short = min(image.size)
            target = (round(image.width * 256 / short), round(image.height * 256 / short))
            image.draft("RGB", target)
            resized = image.convert("RGB").resize(target, Image.Resampling.BOX)
            resized.save(io.BytesIO(), "JPEG", quality=90)
    return len(files) / (time.perf_counter() - start)


def worker(paths: list[str]) -> None:
    """One measurement in this process's environment: reads everything first, warms up, prints images/s."""
    files = [Path(path).read_bytes() for path in paths]
    work(files[:4])
    print(work(files))


def main() -> None:
    from PIL import __version__

    from tagmill.bench import measure

    parser = measure.arguments(__doc__ or "")
    options = parser.parse_args()
    paths = [str(path) for path in measure.pictures(options.images, 16 if options.quick else 240)]
    series = __version__.split(".post")[0]
    pythons = {"tagmill (pillow-simd)": Path(sys.executable), "Pillow": measure.peer("pillow", f"pillow=={series}")}

    def once(python: Path) -> Callable[[], float]:
        command = [str(python), __file__, "--worker", *paths]
        return lambda: float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    cases = {name: once(python) for name, python in pythons.items()}
    runs = measure.alternate(cases, 2 if options.quick else options.rounds)
    measure.conclude("pixels", "images/s", runs, "tagmill (pillow-simd)", options.out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
    else:
        main()
