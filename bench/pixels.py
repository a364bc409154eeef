"""What pillow-simd is worth: decode + resize to short side 256 + encode, on one core, against Pillow in its own environment.
And what each step of ingest costs a picture that goes over RGB; in its own planes; and stored as it came (those that can be).

python bench/pixels.py [--images DIR] [--rounds N] [--quick] [--out FILE.json]
"""

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagmill.ingest.config.image_policy import ImagePolicy


def work(files: list[bytes]) -> float:
    """Measures images per second of the pixel work that ingest does for every image; needs nothing but PIL."""
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
    """Makes one measurement in this process's environment: reads everything first, warms up, prints images/s."""
    files = [Path(path).read_bytes() for path in paths]
    work(files[:4])
    print(work(files))


class Clock:
    """Seconds by step; a step lasts from the previous call to this one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


def step_by_step(body: bytes, policy: "ImagePolicy", clock: Clock) -> bytes:
    """Processes an image on ingest's RGB path, by ingest's own functions; returns the JPEG that is stored."""
    from tagmill.ingest.images import fingerprint, srgb
    from tagmill.ingest.images import prepare as images
    from tagmill.ingest.images.resize import crop_or_pad, resample
    from tagmill.ingest.images.restart_markers import interval_of
    from tagmill.shards.formats.record import sha256_hex

    clock.start()
    source = images.opened_image(body)
    wanted = images.checked_shape(*source.image.size, policy)
    clock("header check")
    pixels, place = images.decoded_image(source, wanted.scaled)
    clock("decode")
    pixels = crop_or_pad(srgb.convert_to_srgb(resample(pixels, wanted.scaled, place), source.profile), wanted.stored)
    clock("resize")
    jpeg = images.encoded(pixels, policy.quality, interval_of(policy.restart_interval, wanted.stored))
    clock("encode")
    sha256_hex(body)
    clock("sha256")
    fingerprint.pdq_of(images.thumbnail_of(pixels))
    clock("PDQ")
    return jpeg


def in_planes(body: bytes, policy: "ImagePolicy") -> bool:
    """Shrinks an image in its own planes; returns False if it needs the RGB path."""
    from tagmill.ingest.images import prepare as images

    source = images.opened_image(body)
    return images.in_planes(source, images.checked_shape(*source.image.size, policy), policy) is not None


def stored_at_256(**changes: Any) -> "ImagePolicy":
    """Short side 256, quality 90, restart markers, and ingest's own limits."""
    from tagmill.ingest.config.image_policy import ImagePolicy

    of_ingest = {"quality": 90, "min_side": 16, "max_pixels": 200_000_000, "restart_interval": "auto"}
    return ImagePolicy(**{"image_size": 256, **of_ingest, **changes})


def ingest_steps(files: list[bytes], rounds: int) -> dict[str, dict[str, object]]:
    """Returns microseconds an image of every step, and of `prepare` with the fingerprints under three policies."""
    from tagmill.ingest.images.fingerprint import fingerprint
    from tagmill.ingest.images.prepare import Prepared, prepare

    resized = stored_at_256()
    whole = {
        "all: short side 256": (files, resized),
        "all: size kept, encoded anew": (files, stored_at_256(resize="no")),
    }
    as_came = stored_at_256(resize="no", reencode="never", restart_interval=0)
    fit = [body for body in files if isinstance(prepare(body, as_came), Prepared)]
    if fit:
        whole[f"all: stored as it came ({len(fit)} of {len(files)})"] = fit, as_came
    plain = [body for body in files if in_planes(body, resized)]
    runs: dict[str, list[float]] = {}
    for _ in range(rounds):
        clock = Clock()
        for body in files:
            step_by_step(body, resized, clock)
        found = {step: seconds / len(files) for step, seconds in clock.seconds.items()}
        if plain:
            start = time.perf_counter()
            for body in plain:
                in_planes(body, resized)
            seconds = time.perf_counter() - start
            found[f"header, decode, resize, encode in planes ({len(plain)} of {len(files)})"] = seconds / len(plain)
        for name, (bodies, policy) in whole.items():
            start = time.perf_counter()
            for body in bodies:
                made = prepare(body, policy)
                assert isinstance(made, Prepared), made
                fingerprint(body, made.thumbnail)
            found[name] = (time.perf_counter() - start) / len(bodies)
        for name, seconds in found.items():
            runs.setdefault(name, []).append(1e6 * seconds)
    return {
        name: {"unit": "microseconds an image", "median": statistics.median(values), "runs": values}
        for name, values in runs.items()
    }


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
    rounds = 2 if options.quick else options.rounds
    runs = measure.alternate(cases, rounds)
    steps = ingest_steps([Path(path).read_bytes() for path in paths], rounds)
    for name, case in steps.items():
        print(f"{name:40} {case['median']:10.0f} {case['unit']}")
    measure.conclude("pixels", "images/s", runs, "tagmill (pillow-simd)", options.out, steps)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2:])
    else:
        main()
