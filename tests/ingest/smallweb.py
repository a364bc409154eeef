"""A small web on loopback, a list of its pictures, and the config of an ingest from it."""

import functools
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import IngestConfig

PICTURES = 44
WORDS = ["#BrownBear", "cats", "dog", "sunset", "love", "tulip", "castle", "Jaguar"]


@functools.cache
def picture(number: int) -> bytes:
    """A small picture, unlike all others; some are PNG with alpha."""
    dice = np.random.default_rng(number)
    mode, kind = ("RGBA", "PNG") if number % 5 == 0 else ("RGB", "JPEG")
    coarse = dice.integers(0, 256, (6, 8, len(mode)), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse, mode).resize((64 + number, 48), Image.Resampling.BILINEAR).save(file, kind)
    return file.getvalue()


class Web(BaseHTTPRequestHandler):
    """`/copy3/12` is picture 12 again; `/gone` is not there; `/page` is HTML with an image's type."""

    def do_GET(self) -> None:
        place = self.path.rpartition("/")[2]
        body = picture(int(place)) if place.isdigit() else b"<html>no picture</html>"
        self.send_response(200 if place != "gone" else 404)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def listing(web: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The input: every picture, copies under other URLs, one URL twice, and rows that cannot work."""
    rows = [(f"{web}/picture/{number}", [WORDS[number % 8], WORDS[number % 3]]) for number in range(PICTURES)]
    rows += [(f"{web}/copy{number % 3}/{number}", ["copied", WORDS[7 - number % 8]]) for number in range(0, 18, 2)]
    rows += [(f"{web}/picture/3", ["again"])] * 2
    rows += [(f"{web}/gone", ["lost"]), (f"{web}/page", ["text"]), (None, ["nothing"]), ("ftp://127.0.0.1/1", [])]
    path = tmp_path_factory.mktemp("listing") / "rows.parquet"
    urls, tags = zip(*rows, strict=True)
    pq.write_table(pa.table({"url": urls, "tags": pa.array(tags, pa.list_(pa.string())), "n": range(len(rows))}), path)
    return str(path)


def config(listing: str, output: Path, **changes: Any) -> IngestConfig:
    small = {"rows_per_part": 10, "parts_per_group": 3, "shard_samples": 6, "image_size": 32, "timeout": 20.0}
    settings = {**small, "holdout": 5, "allow_private": True, "extra_columns": ("n",), "processes": 1, **changes}
    return IngestConfig(input=(listing,), output=str(output), **settings)
