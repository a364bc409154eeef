"""A list with a fifth of hostile URLs of every kind: the run ends, and each row has the right reason."""

import gzip
import io
import json
import os
import socket
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import IngestConfig, ingest
from tagmill.ingest.reasons import Reason
from tagmill.shards.errors import TagmillError
from tagmill.shards.lint import lint_shard
from tagmill.shards.manifest import Corpus
from tests.ingest.liar import Liar, Lie, redirect
from tests.ingest.smallweb import picture

HONEST, EACH = 400, 8  # pictures, and rows of each kind of lie
DEAD = 40  # URLs of a host that does not listen
ANY_OF_A_DEAD_HOST = (Reason.CONNECTION, Reason.HOST_DOWN)


def wide(width: int, height: int) -> bytes:
    """A PNG whose header claims so many pixels."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


LIES: dict[str, tuple[Lie, Reason]] = {
    "page": (Lie(b"<html>", headers=(("Content-Type", "image/jpeg"),)), Reason.NOT_AN_IMAGE),
    "short": (Lie(picture(1), length=len(picture(1)) + 500), Reason.TRUNCATED),
    "cut": (Lie(picture(2)[:-300]), Reason.TRUNCATED),
    "bomb": (Lie(gzip.compress(bytes(10_000_000)), headers=(("Content-Encoding", "gzip"),)), Reason.TOO_BIG),
    "huge": (Lie(b"x" * 70_000), Reason.TOO_BIG),
    "claims": (Lie(b"x", length=10**12), Reason.TOO_BIG),
    "pixels": (Lie(wide(60_000, 60_000)), Reason.TOO_MANY_PIXELS),
    "loop": (redirect("/loop"), Reason.REDIRECTS),
    "file": (redirect("file:///etc/passwd"), Reason.REDIRECTS),
    "headers": (Lie(headers=(("X-Padding", "x" * 100_000),)), Reason.BAD_HEADERS),
    "noise": (Lie(raw=b"\x16\x03\x01 no HTTP at all"), Reason.BAD_HEADERS),
    "drip": (Lie(b"x" * 1000, drip=0.2), Reason.TIMEOUT),
    "gone": (Lie(status=404), Reason.NOT_FOUND),
    "broken": (Lie(status=500), Reason.HTTP_ERROR),
    "empty": (Lie(), Reason.EMPTY),
    "noai": (Lie(b"ours", headers=(("X-Robots-Tag", "noai"),)), Reason.OPTED_OUT),
}


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with Liar() as liar:
        for number in range(HONEST):
            liar.answers[f"/honest/{number}"] = Lie(picture(number))
        for kind, (lie, _) in LIES.items():
            for number in range(EACH):
                # A redirect is to the path itself, so that a loop stays one.
                liar.answers[f"/{kind}/{number}"] = redirect(f"/{kind}/{number}") if kind == "loop" else lie
        yield liar


def rows_of(liar: Liar, dead: int) -> tuple[list[str | None], Counter[Reason]]:
    """The list, shuffled in its own way, and how often each reason must come."""
    urls: list[str | None] = [liar.url(f"/honest/{number}") for number in range(HONEST)]
    expected: Counter[Reason] = Counter()
    for kind, (_, reason) in LIES.items():
        urls += [liar.url(f"/{kind}/{number}") for number in range(EACH)]
        expected[reason] += EACH
    urls += [f"https://127.0.0.1:{liar.port}/honest/{number}" for number in range(EACH)]  # it waits for a line of HTTP
    expected[Reason.TIMEOUT] += EACH
    urls += [f"http://127.0.0.1:{dead}/{number}" for number in range(DEAD)]
    bad = [None, "", "ftp://127.0.0.1/x", "http://", "http://\x00\x1f/", "http://[::1", "http://h" + "h" * 100_000]
    bad += ["javascript:alert(1)", "http://127.0.0.1:99999/x", "//127.0.0.1/x", "file:///etc/passwd"]
    urls += bad
    expected[Reason.BAD_URL] += len(bad)
    urls += [liar.url(f"/honest/{number}") for number in range(EACH)]  # once more
    expected[Reason.DUPLICATE] += EACH
    return sorted(urls, key=lambda url: hash((url or "")[-7:])), expected


@pytest.mark.slow
def test_every_lie_is_counted_as_what_it_is(liar: Liar, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        urls, expected = rows_of(liar, taken.getsockname()[1])
        path = tmp_path / "rows.parquet"
        tags = pa.array([["#dog"]] * len(urls), pa.list_(pa.string()))
        pq.write_table(pa.table({"url": urls, "tags": tags}), path)
        report = ingest(
            IngestConfig(
                input=(str(path),),
                output=str(tmp_path / "corpus"),
                allow_private=True,
                processes=2,
                rows_per_part=300,
                image_size=32,
                timeout=2.0,
                retries=1,
                max_bytes=60_000,
                host_concurrency=32,
                host_failures=10**6,  # honest and hostile URLs have the same host
            )
        )
    found = Counter(report.rejects)
    dead = sum(found.pop(reason, 0) for reason in ANY_OF_A_DEAD_HOST)
    assert (found, dead) == ({str(reason): count for reason, count in expected.items()}, DEAD)
    assert report.samples == {"train": HONEST, "holdout": 0}
    assert report.rows == len(urls) == HONEST + sum(report.rejects.values())
    corpus = Corpus.open(str(tmp_path / "corpus"))
    for entry in corpus.entries:
        lint_shard(corpus, entry)


@pytest.mark.slow
def test_a_disk_that_fills_is_said_and_the_run_goes_on_when_there_is_room(liar: Liar, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs to mount a small disk")
    try:
        path = tmp_path / "rows.jsonl"
        urls = [liar.url(f"/honest/{number}") for number in range(HONEST)]
        path.write_text("\n".join(json.dumps({"url": url, "tags": ["#dog"]}) for url in urls))

        def config(spool: Path) -> IngestConfig:
            where = {"output": str(tmp_path / "corpus"), "spool": str(spool)}
            return IngestConfig(input=(str(path),), allow_private=True, processes=1, image_size=64, **where)

        with pytest.raises(TagmillError, match="free some space") as raised:
            ingest(config(small))
        assert raised.value.remedy and not (tmp_path / "corpus" / "corpus.json").exists()
        assert not any(small.iterdir())
        assert ingest(config(tmp_path / "large")).samples["train"] == HONEST
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
