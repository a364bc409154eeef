"""Mutated JPEGs with restart markers, cut under the address and undefined-behaviour sanitizers: no byte outside is read
or written, and whatever is cut has the pixels of the whole image; with the loader's own decoder too.

TAGMILL_MUTATED=100000 pytest tests/pipeline/decode/test_cut_mutated.py tries that many files; the default is 500.
"""

import os
import re
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tagmill.pipeline.decode.libjpeg import LOST
from tests.pipeline.decode.test_cut import ROWS, SAMPLINGS, WHOLE, across, filled, marked, size_of
from tests.pipeline.decode.test_libjpeg import COMPILED

FILES = int(os.environ.get("TAGMILL_MUTATED", "500"))
HEAD = struct.Struct("<I5i")  # bytes, window, pixels decoded of eight
AT_ONCE = 5000  # files of a run of the program
SEED = 20261129
HERE = Path(__file__).parent
SOURCES = HERE.parents[2] / "pipeline" / "decode"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
MARKER = re.compile(rb"\xff[\xd0-\xd9]")
HEADER = re.compile(rb"\xff[\xc0-\xcf\xda-\xdd]")
Rng = np.random.Generator


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled cut_mutated.c."""
    compiler = shutil.which("cc")
    if compiler is None or not any(
        Path(place, "jpeglib.h").exists() for place in ("/usr/include", "/usr/local/include")
    ):
        pytest.skip("there is no C compiler, or none of the headers of libjpeg")
    folder = tmp_path_factory.mktemp("program")
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    trial = [compiler, *SANITIZERS, str(folder / "empty.c"), "-o", str(folder / "empty")]
    if subprocess.run(trial, capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    made = folder / "cut_mutated"
    files = [str(HERE / "cut_mutated.c"), str(SOURCES / "cut.c")]
    options = ["-O1", "-g", *SANITIZERS, f"-I{SOURCES}"]
    subprocess.run([compiler, *options, *files, "-ljpeg", "-o", str(made)], check=True)
    return made


def originals(rng: Rng) -> list[bytes]:
    made = []
    for sampling in SAMPLINGS:
        for width, height in ((97, 83), (128, 64), (50, 90)):
            units = across(width, sampling)
            intervals = [k for k in range(1, units + 1) if units % k == 0]
            made += [marked(width, height, sampling, k, int(rng.integers(9))) for k in (*intervals, ROWS * units)]
    return made


def any_bytes(jpeg: bytes, rng: Rng) -> bytes:
    made = bytearray(jpeg)
    for _ in range(int(rng.integers(1, 6))):
        made[int(rng.integers(len(made)))] = int(rng.choice([0, 0xFF, int(rng.integers(256))]))
    return bytes(made)


def in_header(jpeg: bytes, rng: Rng) -> bytes:
    """Alters a byte of a segment that the cut reads: its code, its length or its first fields."""
    places = [match.start() for match in HEADER.finditer(jpeg[:700])] or [0]
    place = int(rng.choice(places)) + int(rng.integers(0, 20))
    value = int(rng.choice([0, 1, 2, 3, 0x11, 0x12, 0x21, 0x22, 0xFF, int(rng.integers(256))]))
    return jpeg[:place] + bytes((value,)) + jpeg[place + 1 :]


def in_markers(jpeg: bytes, rng: Rng) -> bytes:
    """Takes a restart marker away, repeats it, gives it another number, or moves what follows."""
    places = [match.start() for match in MARKER.finditer(jpeg, 4)] or [0]
    place, other = (int(rng.choice(places)) for _ in range(2))
    return [
        jpeg[:place] + jpeg[place + 2 :],
        jpeg[:place] + jpeg[place : place + 2] + jpeg[place:],
        jpeg[:place] + bytes((0xFF, 0xD0 + int(rng.integers(16)))) + jpeg[place + 2 :],
        jpeg[:place] + b"\xff" * int(rng.integers(1, 20)) + jpeg[place:],
        jpeg[:place] + jpeg[other:],
        jpeg[: place + 2] + bytes(int(rng.integers(1, 40))) + jpeg[place:],
    ][int(rng.integers(6))]


def ended(jpeg: bytes, rng: Rng) -> bytes:
    return jpeg[: int(rng.integers(len(jpeg)))]


def nothing(jpeg: bytes, rng: Rng) -> bytes:
    return jpeg


WAYS = (any_bytes, any_bytes, in_header, in_header, in_markers, ended, nothing)


def records(count: int, rng: Rng) -> Iterator[bytes]:
    """Yields mutated files in the format of cut_mutated.c, with windows that are mostly inside the original image."""
    sources = [(jpeg, size_of(jpeg)) for jpeg in originals(rng)]
    for _ in range(count):
        jpeg, (wide, high) = sources[int(rng.integers(len(sources)))]
        for _ in range(int(rng.integers(1, 3))):
            jpeg = WAYS[int(rng.integers(len(WAYS)))](jpeg, rng) or jpeg
        x, y = (int(rng.integers(0, side)) for side in (wide, high))
        box = [x, y, int(rng.integers(1, wide - x + 1)), int(rng.integers(1, high - y + 1))]
        if rng.random() < 0.05:
            box[int(rng.integers(4))] = int(rng.choice([-1, 0, 255, 70_000, 2**31 - 1, -(2**31)]))
        yield HEAD.pack(len(jpeg), *box, int(rng.choice([8, 8, 4, 2, 1, int(rng.integers(0, 10))]))) + jpeg


def test_mutated_files_are_declined_or_have_the_pixels_of_the_whole_image(program: Path) -> None:
    """A file that ends, or is altered, after the window may be refused whole and decoded cut."""
    rng, counts = np.random.default_rng(SEED), Counter[str]()
    for first in range(0, FILES, AT_ONCE):
        fed = b"".join(records(min(AT_ONCE, FILES - first), rng))
        done = subprocess.run([program], input=fed, capture_output=True)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
        counts.update({name: int(number) for name, number in map(str.split, done.stdout.decode().splitlines())})
    print(dict(counts))
    assert sum(counts.values()) == FILES
    assert counts["different"] == counts["cut_refused"] == 0
    assert counts["declined"] > FILES / 10 and counts["equal"] > FILES / 10


@COMPILED
@pytest.mark.parametrize("left", [1, WHOLE])
def test_the_loader_decodes_the_same_pixels_of_mutated_files_cut_and_whole(left: int) -> None:
    """Also where the decoder shrinks; the outcome is the same unless the whole image is lost by what the crop does not
    need."""
    rng, outcomes = np.random.default_rng(SEED + left), Counter[tuple[bytes, bytes]]()
    for record in records(FILES, rng):
        _, x, y, width, height, _ = HEAD.unpack(record[: HEAD.size])
        jpeg, box = record[HEAD.size :], (x, y, width, height)
        (became, found), (wanted, pixels) = (filled(jpeg, box, 9, left, cuts=cuts) for cuts in (True, False))
        outcomes[became, wanted] += 1
        assert became != b"\0" or wanted == bytes((LOST,)) or (found == pixels).all(), (jpeg, box)
    print(dict(outcomes))
    others = {pair for pair in outcomes if pair[0] != pair[1]}
    assert others <= {(b"\0", bytes((LOST,)))} and outcomes[b"\0", b"\0"] > FILES / 4
