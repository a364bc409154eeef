"""The plan of the demo web: the image of each row, and the planted copies, leaks and broken answers.

The plan consists of numbers and names; `web` turns it into bytes. It is a function of (seed, rows, evaluation).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from tagmill.demo.concepts import BY_NAME, CONCEPTS, apportion
from tagmill.demo.encode import EXTENSIONS
from tagmill.demo.tags import hashtags
from tagmill.shards.errors import ConfigError

Rng = np.random.Generator

SHARES = {"exact_copy": 0.08, "near_copy": 0.05, "leak_exact": 0.005, "leak_near": 0.005, "same_url": 0.005}
"""Share of all rows per kind of repeated image."""

BROKEN_SHARE = 0.03
"""Share of all rows whose answer is broken, spread evenly over `BROKEN`."""

BROKEN = {
    "broken_404": "the server knows no image of this path",
    "broken_truncated": "a truncated JPEG, with its true Content-Length",
    "broken_cut_off": "a connection that closes before Content-Length is reached",
    "broken_html": "a page under an image's content type",
    "broken_empty": "no bytes under an image's content type",
    "broken_huge_header": "a response header far beyond what HTTP clients accept",
    "broken_slow": "one byte every half second",
    "broken_forbidden": "an image that robots.txt forbids",
}
"""The outcome that the fetcher should report, by kind."""

FORMAT_SHARE = 0.01
"""Share of all rows per unusual format; the three animated formats together have one share."""

UNUSUAL = (
    ("png_alpha",),
    ("webp",),
    ("jpeg_cmyk",),
    ("jpeg_rotated",),
    ("gif_animated", "webp_animated", "png_animated"),
)

LICENCES = ("CC-BY-4.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CC-BY-NC-2.0", "")
PEOPLE = (
    "anna.k",
    "bo_photo",
    "casey",
    "dmitri",
    "elif",
    "foto-franz",
    "grace_h",
    "hiro",
    "ines",
    "jun",
    "kofi",
    "lupe",
)

TAGS_STREAM, PICTURE_STREAM, ENCODING_STREAM, EVALUATION_STREAM, COCO_STREAM = 1, 2, 3, 4, 5
"""Last word of the seed of a row's own generators, so that they are independent."""

FORBIDDEN = "members"
"""The folder that robots.txt forbids."""

MOST_ZIPF = 2
"""Largest exponent of frequencies: the rarest of 32 concepts then has 0.06 % of the images."""

LEAST_ROWS = 200
"""Below this the planted shares round to 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the demo's list and the truth about it."""

    row: int
    path: str
    """Path of its URL, which begins with '/'."""
    concept: str
    synset: str
    kind: str
    """`picture`, a key of `SHARES` or a key of `BROKEN`."""
    format: str
    """A key of `encode.ENCODERS`; for a broken row, that of the sound answer."""
    of: str
    """The row number, or the evaluation file, that it repeats; empty for an image of its own."""
    tags: tuple[str, ...]
    licence: str
    page: str

    @property
    def file(self) -> str:
        """Name of its bytes below the folder of the images."""
        return self.path.rsplit("/", 1)[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One image of the held-out evaluation set."""

    number: int
    concept: str

    @property
    def file(self) -> str:
        """Its path below the demo's folder."""
        return f"evaluation/{BY_NAME[self.concept].synset}/{self.number:04d}.jpg"


def generator(seed: int, index: int, stream: int) -> Rng:
    """Returns the generator of one purpose of one row or evaluation image."""
    return np.random.default_rng([seed, index, stream])


def evaluation_set(count: int) -> list[Evaluation]:
    """Returns the evaluation images: every concept equally often, as far as the count allows."""
    return [Evaluation(number=n, concept=CONCEPTS[n % len(CONCEPTS)].name) for n in range(count)]


def plan(seed: int, rows: int, evaluation: int, zipf: float | None = None) -> list[Row]:
    """Plans every row, in the order of the list. `zipf`: exponent of the concepts' frequencies; None takes their own. Raises
    ConfigError for invalid numbers."""
    if zipf is not None and not 0 <= zipf <= MOST_ZIPF:
        raise ConfigError(f"an exponent of {zipf}", "zipf", f"give 0 (equal frequencies) to {MOST_ZIPF}")
    if rows < LEAST_ROWS or evaluation < 1 or seed < 0:
        raise ConfigError(
            "the demo web cannot be planned",
            f"rows={rows}, evaluation={evaluation}, seed={seed}",
            f"give at least {LEAST_ROWS} rows, one evaluation image and a seed of 0 or more",
        )
    rng = np.random.default_rng(seed)
    kinds = _kinds(rng, rows)
    own = [row for row, kind in enumerate(kinds) if kind == "picture" or kind in BROKEN]
    shown = _concepts(rng, own, zipf)
    formats = _formats(rng, [row for row in own if kinds[row] == "picture"], rows)
    planned = {row: _row(seed, row, kinds[row], shown[row], formats.get(row, "jpeg")) for row in own}
    pictures = [row for row in own if kinds[row] == "picture"]
    plain = [row for row in pictures if planned[row].format == "jpeg"]
    held_out = evaluation_set(evaluation)
    for row in range(rows):
        kind = kinds[row]
        if row in planned:
            continue
        if kind.startswith("leak"):
            source = held_out[int(rng.integers(0, evaluation))]
            planned[row] = _row(seed, row, kind, source.concept, "jpeg", source.file)
            continue
        choice = plain if kind == "near_copy" else pictures
        first = planned[choice[int(rng.integers(0, len(choice)))]]
        repeat = _row(seed, row, kind, first.concept, first.format, str(first.row))
        planned[row] = replace(repeat, path=first.path, page=first.page) if kind == "same_url" else repeat
    return [planned[row] for row in range(rows)]


def _kinds(rng: Rng, rows: int) -> list[str]:
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(rows * share))]
    names = list(BROKEN)
    kinds += [names[k % len(names)] for k in range(round(rows * BROKEN_SHARE))]
    kinds += ["picture"] * (rows - len(kinds))
    return [kinds[place] for place in rng.permutation(rows)]


def _concepts(rng: Rng, rows: list[int], zipf: float | None) -> dict[int, str]:
    names = [concept.name for concept in apportion(len(rows), zipf)]
    return {row: names[place] for row, place in zip(rows, rng.permutation(len(rows)), strict=True)}


def _formats(rng: Rng, pictures: list[int], rows: int) -> dict[int, str]:
    count = round(rows * FORMAT_SHARE)
    chosen = rng.choice(pictures, count * len(UNUSUAL), replace=False)
    return {int(row): UNUSUAL[k // count][k % len(UNUSUAL[k // count])] for k, row in enumerate(chosen)}


def _row(seed: int, row: int, kind: str, name: str, fmt: str, of: str = "") -> Row:
    """Fills in a row; its tags, person and licence are its own, whatever image it repeats."""
    rng = generator(seed, row, TAGS_STREAM)
    concept = BY_NAME[name]
    person = PEOPLE[int(rng.integers(0, len(PEOPLE)))]
    stem = hashlib.sha256(f"{seed}:{row}".encode()).hexdigest()[:14]
    return Row(
        row=row,
        path=f"/{FORBIDDEN if kind == 'broken_forbidden' else person}/{stem}{EXTENSIONS[fmt.split('_')[0]]}",
        concept=name,
        synset=concept.synset,
        kind=kind,
        format=fmt,
        of=of,
        tags=tuple(hashtags(rng, concept)),
        licence=LICENCES[int(rng.integers(0, len(LICENCES)))],
        page=f"/{person}/posts/{stem[:8]}",
    )
