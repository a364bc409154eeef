"""What restart markers cost in bytes, and what they save a loader that decodes crops: by restart interval, over photographs.

python bench/restart_markers.py [--images DIR] [--side N] [--quick] [--out FILE.json]

Every photograph is stored by ingest with each `--restart-interval`, by default at a short side of 256 pixels and
quality 90. `growth` is of bytes, as the mean over photographs and of all bytes together. `decoded` is the share of a
photograph's MCUs that are in segments which a random resized crop touches, with a pixel on each side for the
interpolation of colours: the mean over the crops that the loader draws. Both are counts and not times, so the machine
does not matter. `as they came` are the photographs that ingest can store with their own pixels, in their own size,
with "auto": `marked` is the share that got markers or had them. The last table says which interval "auto" chooses, by
the MCUs of a row and of a column.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from tagmill.bench import measure
from tagmill.bench.pixels import stored_at_256
from tagmill.ingest.config.image_policy import RestartInterval
from tagmill.ingest.images.prepare import Prepared, image_stack, prepare
from tagmill.ingest.images.restart_markers import ENCODED_MCU, interval_of
from tagmill.pipeline.augment.draws import train_crops

WHOLE_ROW = 65_535
INTERVALS: tuple[RestartInterval, ...] = (0, 1, 2, 3, 4, 8, WHOLE_ROW, "auto")
CROPS = 500  # of every photograph
DRI = b"\xff\xdd\0\4"  # how the segment that says the interval begins; never in the coded pixels
AROUND = 1  # pixels beside a crop that are needed


def decoded(width: int, height: int, interval: int, crops: int, first: int = 0) -> float:
    """Computes the mean share of an image's MCUs that are decoded for a crop, over crops of positions from `first` on."""
    across, down = -(-width // ENCODED_MCU), -(-height // ENCODED_MCU)
    if interval == 0:
        return 1.0
    sizes = (np.full(crops, side, np.int32) for side in (width, height))
    window = train_crops(0, 0, np.arange(first, first + crops), *sizes)
    segment = interval * ENCODED_MCU
    left, top = np.maximum(0, window.x - AROUND) // segment, np.maximum(0, window.y - AROUND) // ENCODED_MCU
    right = np.minimum(across // interval, -(-(window.x + window.width + AROUND) // segment))
    bottom = np.minimum(down, -(-(window.y + window.height + AROUND) // ENCODED_MCU))
    return float(np.mean((right - left) * interval * (bottom - top)) / (across * down))


def stored(body: bytes, side: int, interval: RestartInterval) -> Prepared:
    made = prepare(body, stored_at_256(image_size=side, only_if_bigger=False, restart_interval=interval))
    assert isinstance(made, Prepared), made
    return made


def measured(files: list[bytes], side: int, crops: int) -> dict[str, dict[str, object]]:
    """Returns growth and decoded share of every interval."""
    plain = [stored(body, side, 0) for body in files]
    cases: dict[str, dict[str, object]] = {}
    for interval in INTERVALS:
        marked = [stored(body, side, interval) for body in files]
        pairs = [(len(one.jpeg), len(other.jpeg)) for one, other in zip(marked, plain, strict=True)]
        shares = [
            decoded(made.width, made.height, interval_of(interval, (made.width, made.height)), crops, number * crops)
            for number, made in enumerate(marked)
        ]
        cases["a row" if interval == WHOLE_ROW else str(interval)] = {
            "unit": "share of the bytes or MCUs of a photograph",
            "growth_mean": round(float(np.mean([one / other - 1 for one, other in pairs])), 5),
            "growth_of_all": round(sum(one for one, _ in pairs) / sum(other for _, other in pairs) - 1, 5),
            "decoded": round(float(np.mean(shares)), 4),
        }
    return cases


def as_they_came(files: list[bytes]) -> dict[str, object]:
    """Returns the growth of the photographs that are stored with their own pixels, and how many of them have markers."""
    plain = [prepare(body, stored_at_256(resize="no", reencode="never", restart_interval=0)) for body in files]
    marks = stored_at_256(resize="no", reencode="auto", restart_interval="auto")
    marked = [prepare(body, marks) for body in files]
    both = [
        (one.jpeg, other.jpeg)
        for one, other in zip(marked, plain, strict=True)
        if isinstance(one, Prepared) and isinstance(other, Prepared)
    ]
    sizes = [(len(one), len(other)) for one, other in both]
    return {
        "unit": "share of the bytes of a photograph",
        "photographs": len(both),
        "growth_mean": round(float(np.mean([one / other - 1 for one, other in sizes])), 5),
        "growth_of_all": round(sum(one for one, _ in sizes) / sum(other for _, other in sizes) - 1, 5),
        "marked": round(float(np.mean([DRI in one for one, _ in both])), 4),
    }


def chosen(files: list[bytes], side: int) -> dict[str, dict[str, object]]:
    """Returns how many photographs have which shape in MCUs, and the interval that "auto" gives them."""
    sizes = [(made.width, made.height) for made in (stored(body, side, 0) for body in files)]
    counts = Counter((*(-(-length // ENCODED_MCU) for length in size), interval_of("auto", size)) for size in sizes)
    return {
        f"{across} x {down} MCUs": {"unit": "photographs", "photographs": count, "interval": interval}
        for (across, down, interval), count in sorted(counts.items())
    }


def main() -> None:
    parser = measure.arguments(__doc__ or "")
    parser.add_argument("--side", type=int, default=256, help="short side of the stored images, pixels")
    options = parser.parse_args()
    paths: list[Path] = measure.pictures(options.images, 8 if options.quick else 240)
    files = [path.read_bytes() for path in paths]
    cases, shapes = measured(files, options.side, CROPS), chosen(files, options.side)
    print(f"{len(files)} photographs, short side {options.side}")
    print(f"{'--restart-interval':20} {'growth, mean':>13} {'growth of all':>14} {'decoded':>8}")
    for name, case in cases.items():
        print(f"{name:20} {case['growth_mean']:13.2%} {case['growth_of_all']:14.2%} {case['decoded']:8.3f}")
    came = as_they_came(files)
    figures = f"{came['growth_mean']:13.2%} {came['growth_of_all']:14.2%}"
    print(f"{'as they came':20} {figures}: {came['photographs']} photographs, {came['marked']:.1%} marked")
    for shape, case in shapes.items():
        print(f"{shape:20} {case['photographs']:4} photographs: auto is {case['interval']}")
    if options.out is not None:
        versions: dict[str, object] = {"unit": "versions", **image_stack(markers=True)}
        measure.write(
            "restart-markers", {**cases, "as they came": came, **shapes, "images made by": versions}, {}, options.out
        )


if __name__ == "__main__":
    main()
