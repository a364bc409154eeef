"""Measures how many copies of photographs are found, after the changes that the web makes to images.

python bench/copies.py [--images DIR] [--quick] [--out FILE.json]

For each kind of change: the share within 31 bits of PDQ of its original, by comparing all (no search can find more);
the shares that the tables of near duplicates find, with as many bits and tables as a corpus of 100 million has and with
those of this number of images; and the share that the complete matcher of evaluation sets finds. Also the pairs of
different photographs that are taken for copies. Fingerprints are made as ingest makes them.
"""

import io
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from tagmill.bench import measure
from tagmill.bench.pixels import stored_at_256
from tagmill.ingest.dedup.decontamination import near_rows
from tagmill.ingest.dedup.near_duplicates import NearRules, find_near
from tagmill.ingest.engines.table_files import TableFiles
from tagmill.ingest.images.fingerprint import Fingerprint, fingerprint
from tagmill.ingest.images.prepare import Prepared, prepare
from tagmill.ingest.similarity.hash_files import HashFile, Words
from tagmill.ingest.similarity.lsh import default_bits, default_tables, draw_lsh_tables

LARGE = 100_000_000  # images of the corpus whose tables are tried
SEED, MEMORY = 0, 1 << 28
SAVED = 90  # JPEG quality of all copies except those that are only encoded again
LINE = 0.08  # of the height: a line of text, and the bar that contains it
TEXT = "when you see it"
QUALITIES, SCALES = (30, 50, 75, 95), (0.4, 0.7, 1.6)
Pairs = set[tuple[int, int]]
Change = Callable[[Image.Image], Image.Image]


def resized(scale: float) -> Change:
    return lambda image: image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def cropped(image: Image.Image) -> Image.Image:
    """Crops 1 % at each side, at least a pixel."""
    across, down = max(1, round(image.width / 100)), max(1, round(image.height / 100))
    return image.crop((across, down, image.width - across, image.height - down))


def written(image: Image.Image, middle: float, colour: str, outline: str) -> Image.Image:
    """Writes text in the middle of the width, that many pixels from the top, in place."""
    high = max(4, round(LINE * image.height))
    font = ImageFont.load_default(0.8 * high)
    place = (image.width / 2, middle)
    stroke = max(1, high // 20)
    ImageDraw.Draw(image).text(place, TEXT, colour, font, "mm", stroke_width=stroke, stroke_fill=outline)
    return image


def captioned(image: Image.Image) -> Image.Image:
    """Writes text over the image, near its upper edge."""
    return written(image.copy(), LINE * image.height, "white", "black")


def barred(image: Image.Image) -> Image.Image:
    """Covers the lowest part with a white bar of text."""
    copy, high = image.copy(), max(4, round(LINE * image.height))
    ImageDraw.Draw(copy).rectangle((0, image.height - high, image.width, image.height), "white")
    return written(copy, image.height - high / 2, "black", "white")


def extended(image: Image.Image) -> Image.Image:
    """Appends a white bar of text below, which makes the image higher."""
    high = max(4, round(LINE * image.height))
    copy = Image.new("RGB", (image.width, image.height + high), "white")
    copy.paste(image)
    return written(copy, image.height + high / 2, "black", "white")


CHANGES: dict[str, tuple[Change, int]] = {
    **{f"JPEG quality {quality}": (Image.Image.copy, quality) for quality in QUALITIES},
    **{f"resized {scale}x": (resized(scale), SAVED) for scale in SCALES},
    "cropped by 2 %": (cropped, SAVED),
    "blurred, radius 1": (lambda image: image.filter(ImageFilter.GaussianBlur(1)), SAVED),
    "brightened by 15 %": (lambda image: ImageEnhance.Brightness(image).enhance(1.15), SAVED),
    "text over it": (captioned, SAVED),
    "bar of text over its foot": (barred, SAVED),
    "bar of text below it": (extended, SAVED),
    "mirrored": (ImageOps.mirror, SAVED),
}
"""The changes of an image and the JPEG quality, by kind."""


def versions(body: bytes) -> Iterator[bytes]:
    """Returns the original image, then each changed version; upright before the change, and without metadata after it.

    Returns no versions of a damaged image.
    """
    yield body
    try:
        with Image.open(io.BytesIO(body)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except OSError:
        return
    for change, quality in CHANGES.values():
        sink = io.BytesIO()
        change(image).save(sink, "JPEG", quality=quality)
        yield sink.getvalue()


@dataclass(frozen=True)
class Versions:
    """Fingerprints of all versions of all photographs: row = version * photographs + photograph, the originals first."""

    names: list[str]
    pdq: Words
    quality: npt.NDArray[np.int32]
    pixels: npt.NDArray[np.int64]

    def hash_file(self, path: Path) -> HashFile:
        """The fingerprints as deduplication has them of a corpus."""
        columns = {f"pdq{word}": self.pdq[:, word].view(np.int64) for word in range(4)}
        rows = {"row_id": np.arange(len(self.pdq)), "existing": np.zeros(len(self.pdq), np.int64)}
        file = HashFile(path)
        file.write(
            [pa.RecordBatch.from_pydict({**rows, "pixels": self.pixels, **columns, "pdq_quality": self.quality})]
        )
        return file


def fingerprinted(paths: list[Path]) -> Versions:
    """Fingerprints the photographs that ingest accepts in every version."""
    names, found = [], []
    for path in paths:
        made = [_fingerprint(body) for body in versions(path.read_bytes())]
        whole = [one for one in made if one is not None]
        if len(whole) == len(CHANGES) + 1:
            names.append(path.name)
            found.append(whole)
    prints: list[tuple[Fingerprint, Prepared]] = [
        photograph[kind] for kind in range(len(CHANGES) + 1) for photograph in found
    ]
    return Versions(
        names,
        np.array([one.pdq for one, _ in prints], np.int64).reshape(-1, 4).view(np.uint64),
        np.array([one.pdq_quality for one, _ in prints], np.int32),
        np.array([one.original_width * one.original_height for _, one in prints], np.int64),
    )


def _fingerprint(body: bytes) -> tuple[Fingerprint, Prepared] | None:
    made = prepare(body, stored_at_256())
    return (fingerprint(body, made.thumbnail), made) if isinstance(made, Prepared) else None


def exhaustive(pdq: Words, threshold: int) -> Pairs:
    """Returns all pairs of rows within the threshold; compares each row with all that follow it."""
    found: Pairs = set()
    for row in range(len(pdq) - 1):
        apart = np.bitwise_count(pdq[row + 1 :] ^ pdq[row]).sum(axis=1)
        found.update((row, row + 1 + int(other)) for other in np.flatnonzero(apart <= threshold))
    return found


def by_tables(hashes: HashFile, rules: NearRules, spool: Path) -> Pairs:
    """Returns the pairs of rows that `find_near` joins: rows of equal hash represent each other."""
    none = np.zeros(0, np.int64)
    found = find_near(hashes, rules, gone=none, seed=SEED, memory=MEMORY, threads=1, spool=spool)
    groups: dict[int, list[int]] = {}
    for row, head in _rows(found.alike):
        groups.setdefault(head, [head]).append(row)
    pairs = {pair for group in groups.values() for pair in combinations(sorted(group), 2)}
    for left, right in set(_rows(found.edges)):
        pairs.update((min(pair), max(pair)) for pair in product(groups.get(left, [left]), groups.get(right, [right])))
    return pairs


def _rows(files: TableFiles) -> Iterator[tuple[int, int]]:
    """Yields the first two columns of every row."""
    for path in files.paths:
        first, second, *_ = pq.read_table(path).to_pydict().values()
        yield from zip(first, second, strict=True)


def by_matcher(hashes: HashFile, originals: Words, threshold: int) -> Pairs:
    """Returns (original, row) pairs that the matcher of evaluation sets finds, with the originals as the set."""
    found = near_rows(hashes, originals, threshold, MEMORY, 1)
    return {(int(entry), int(row)) for rows, entries, _ in found for row, entry in zip(rows, entries, strict=True)}


def large_rules() -> NearRules:
    """The tables that a corpus of LARGE images has by default."""
    bits = default_bits(LARGE)
    return NearRules(bits=bits, tables=default_tables(bits, SEED))


def compared(made: Versions, spool: Path) -> tuple[dict[str, dict[str, object]], dict[str, object]]:
    """Returns (figures of every kind of change, figures of different photographs)."""
    count, rules = len(made.names), large_rules()
    assert rules.bits is not None and rules.tables is not None
    hashes = made.hash_file(spool / "versions.hashes")
    ways = {
        "within": exhaustive(made.pdq, rules.threshold),
        "found_large": by_tables(hashes, rules, spool / "large"),
        "found_small": by_tables(hashes, NearRules(), spool / "small"),
        "found_complete": by_matcher(hashes, made.pdq[:count], rules.threshold),
    }
    expected = np.array([*draw_lsh_tables(rules.bits, rules.tables, SEED).predicted()[: rules.threshold + 1], 0.0])
    kinds: dict[str, dict[str, object]] = {}
    for number, kind in enumerate(CHANGES, 1):
        pairs = [(photograph, number * count + photograph) for photograph in range(count)]
        left, right = np.array(pairs).T
        apart = np.bitwise_count(made.pdq[left] ^ made.pdq[right]).sum(axis=1).astype(np.int64)
        low = (made.quality[left] < rules.quality) | (made.quality[right] < rules.quality)
        kinds[kind] = {
            "unit": "share of the photographs",
            **{way: round(sum(pair in found for pair in pairs) / count, 4) for way, found in ways.items()},
            "predicted_large": round(float(expected[np.minimum(apart, rules.threshold + 1)][~low].sum()) / count, 4),
            "median_distance": statistics.median(apart.tolist()),
            "low_quality": int(low.sum()),
        }
    return kinds, different(made, ways)


def different(made: Versions, ways: dict[str, Pairs]) -> dict[str, object]:
    """Returns pairs of different photographs that each search joins, for originals and for any two versions."""
    count = len(made.names)
    told: dict[str, object] = {"unit": "pairs of different photographs", "photographs": count}
    for way, pairs in ways.items():
        apart = {pair for pair in pairs if pair[0] % count != pair[1] % count}
        originals = sorted(pair for pair in apart if max(pair) < count)
        told[way] = len({tuple(sorted((left % count, right % count))) for left, right in apart})
        told[f"{way}_originals"] = len({tuple(sorted(pair)) for pair in originals})
        if way == "within":
            told["named"] = [[made.names[row % count] for row in pair] for pair in sorted(apart)][:20]
    return told


COLUMNS = ("within", "found_complete", "found_small", "found_large", "predicted_large")


def main() -> None:
    options = measure.arguments(__doc__ or "").parse_args()
    made = fingerprinted(measure.pictures(options.images, 16 if options.quick else 240))
    with tempfile.TemporaryDirectory() as spool:
        kinds, others = compared(made, Path(spool))
    print(f"{'':28}" + "".join(f"{name:>17}" for name in (*COLUMNS, "median_distance")))
    for kind, case in kinds.items():
        shares = "".join(f"{100 * float(str(case[name])):15.1f} %" for name in COLUMNS)
        print(f"{kind:28}{shares}{case['median_distance']:17}")
    print(f"of {len(made.names)} photographs, pairs of different ones: {others}")
    if options.out is not None:
        measure.write("copies", {**kinds, "different photographs": others}, {}, options.out)


if __name__ == "__main__":
    main()
