"""The sample: chosen by hash, fetched under robots.txt and opt-outs, and compared with itself."""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dry_run.before_fetch import Request, judge_rows
from tagmill.ingest.dry_run.sampling import Measured, choose_sample, fetch_sample, near_duplicates, repeated_bytes
from tagmill.ingest.filters.blocklist import Blocklist
from tagmill.ingest.filters.pinned import Forbidden
from tagmill.ingest.filters.takedown_rules import Denylist
from tagmill.shards.progress.protocol import Silent
from tests.ingest.smallweb import picture

ASKED: Counter[str] = Counter()


class Mannered(BaseHTTPRequestHandler):
    """Forbids /no to robots; /opt opts out."""

    def do_GET(self) -> None:
        ASKED[self.path] += 1
        body = b"User-agent: *\nDisallow: /no\n" if self.path == "/robots.txt" else picture(int(self.path[-1]))
        self.send_response(200)
        if self.path.startswith("/opt"):
            self.send_header("X-Robots-Tag", "noai")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def host() -> Iterator[str]:
    ASKED.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mannered)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def requests(urls: list[str], seed: int = 0) -> tuple[IngestConfig, list[Request]]:
    config = IngestConfig(input=("a.txt",), output="out", allow_private=True, processes=1, seed=seed)
    columns = {"row_id": range(len(urls)), "url": urls, "tags": [["a"]] * len(urls)}
    rows = pa.table(columns | {"licence": pa.nulls(len(urls), pa.string()), "page": pa.nulls(len(urls), pa.string())})
    return config, judge_rows(rows, config, Denylist()).requests


def test_robots_and_opt_outs_are_honoured_and_each_host_asked_once(host: str) -> None:
    config, some = requests([f"{host}/yes/1", f"{host}/yes/2", f"{host}/no/1", f"{host}/opt/1"])
    told = Silent()
    found = fetch_sample(config, some, Forbidden(Denylist(), Blocklist()), told)
    assert Counter(each.reason for each in found.images) == {None: 2, "robots": 1, "opted_out": 1}
    assert ASKED["/robots.txt"] == 1 and "/no/1" not in ASKED
    image = next(each for each in found.images if each.reason is None)
    assert image.width >= 64 and image.stored_bytes % 512 == 0 and image.body_bytes > 0 and len(image.pdq) == 4


@given(st.integers(0, 5), st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_the_choice_depends_on_seed_and_urls_alone(seed: int, count: int) -> None:
    urls = [f"http://a.example/{number}" for number in range(30)]
    chosen = [each.url for each in choose_sample(requests(urls, seed)[1], count)]
    assert chosen == [each.url for each in choose_sample(requests(urls[::-1], seed)[1], count)]
    assert len(set(chosen)) == count
    assert set(chosen) >= {each.url for each in choose_sample(requests(urls, seed)[1], count - 1)}


def image(number: int, bits: int, side: int = 100, quality: int = 100) -> Measured:
    pdq = tuple(np.array([(1 << bits) - 1, 0, 0, 0], np.uint64).view(np.int64).tolist())
    return Measured(None, "h", 1.0, 10, side, side, 10, f"{number:064x}", pdq, quality, number)


def test_near_images_yield_to_the_larger_and_equal_bytes_count_once() -> None:
    chain = [image(1, 0, side=300), image(2, 20, side=200), image(3, 40, side=100)]
    # 1 and 2 are near, 2 and 3 too; 2 yields to 1, so 3 stays.
    assert near_duplicates(chain, 31, 50) == (2, 1)
    assert near_duplicates([*chain, chain[1]], 31, 50) == (2, 1)
    assert near_duplicates(chain, 40, 50) == (3, 2)
    assert near_duplicates(chain, -1, 50) == (0, 0)
    assert near_duplicates([*chain[:1], image(2, 20, quality=49)], 31, 50) == (0, 0)
    assert repeated_bytes([*chain, chain[1], chain[1]]) == 2
