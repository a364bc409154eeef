"""A web that says no to training in each way, alone and together: nothing forbidden is stored, or asked for where robots.txt
says so."""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagmill.ingest import IngestConfig, Report, ingest
from tagmill.ingest.http.usage_signals import TDMREP_PATH
from tagmill.shards.manifest import Corpus
from tests.ingest.liar import Liar, Lie
from tests.ingest.smallweb import picture

ROBOTS = {
    "signal": b"User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n",
    "usage": b"User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /open/ train-ai=y\n",
    "both": b"User-agent: *\nContent-Signal: ai-train=yes\nContent-Usage: train-ai=n\n",
    "named": b"User-agent: *\nContent-Signal: ai-train=no\n\nUser-agent: tagmill\nAllow: /\n",
    "hidden": b"User-agent: *\nDisallow: /.well-known/\n",
    "silent": b"User-agent: *\nContent-Signal: search=no\nDisallow: /private/\n",
}
TDMREP = b'[{"location": "/open/", "tdm-reservation": 0}, {"location": "/", "tdm-reservation": 1}]'
HEADERS = {
    "header-signal": ("Content-Signal", "ai-train=no"),
    "header-usage": ("Content-Usage", "train-ai=n"),
    "header-tdm": ("tdm-reservation", "1"),
    "header-robots": ("X-Robots-Tag", "noai"),
    "header-yes": ("Content-Usage", "train-ai=y"),
}
SIGNED = Path(__file__).parent / "statements" / "signed"
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-%s</plus:DataMining></x:xmpmeta>"
IN_THEM = {"iptc_reserved": 1, "c2pa_reserved": 1}
IN_PICTURE = ("xmp-no", "xmp-yes", "c2pa-no", "c2pa-yes")


@pytest.fixture
def sites() -> Iterator[dict[str, Liar]]:
    """A server for each robots.txt, with an image in two folders, and one whose images have a header each."""
    numbers = iter(range(100))
    with ExitStack() as stack:
        found = {}
        for name, text in ROBOTS.items():
            images = {f"/{folder}/{name}.jpg": Lie(picture(next(numbers))) for folder in ("open", "closed")}
            found[name] = stack.enter_context(Liar({"/robots.txt": Lie(text), **images}))
        images = {f"/{folder}/tdm.jpg": Lie(picture(next(numbers))) for folder in ("open", "closed")}
        found["tdm"] = stack.enter_context(Liar({TDMREP_PATH: Lie(TDMREP), **images}))
        found["hidden"].answers[TDMREP_PATH] = Lie(TDMREP)
        images = {f"/{name}.jpg": Lie(picture(next(numbers)), headers=(header,)) for name, header in HEADERS.items()}
        found["headers"] = stack.enter_context(Liar(images))
        bodies = {name: with_xmp(next(numbers), XMP % name.encode()) for name in ("PROHIBITED", "ALLOWED")}
        signed = [(SIGNED / f"{name}.jpg").read_bytes() for name in ("forbidden", "allowed")]
        found["pictures"] = stack.enter_context(
            Liar(
                {f"/{name}.jpg": Lie(body) for name, body in zip(IN_PICTURE, [*bodies.values(), *signed], strict=True)}
            )
        )
        yield found


def with_xmp(number: int, packet: bytes) -> bytes:
    sink = io.BytesIO()
    Image.open(io.BytesIO(picture(number))).convert("RGB").save(sink, "JPEG", xmp=packet)
    return sink.getvalue()


def run(sites: dict[str, Liar], folder: Path, **flags: bool) -> tuple[Report, set[str]]:
    """Ingests all images; returns the report and the paths of those that are stored."""
    urls = [site.url(path) for site in sites.values() for path in site.answers if path.endswith(".jpg")]
    pq.write_table(pa.table({"url": urls, "tags": [["cats"]] * len(urls)}), folder / "rows.parquet")
    output = folder / "corpus"
    config = IngestConfig(
        input=(str(folder / "rows.parquet"),),
        output=str(output),
        allow_private=True,
        image_size=32,
        min_side=16,
        processes=1,
        **flags,
    )
    report = ingest(config)
    entries = Corpus.open(str(output)).entries
    stored = [
        url
        for entry in entries
        for url in pq.read_table(output / "shards" / f"{entry.name}.parquet")["url"].to_pylist()
    ]
    return report, {url.rpartition("/")[2].removesuffix(".jpg") + ("+" if "/open/" in url else "") for url in stored}


def test_each_no_is_heard(sites: dict[str, Liar], tmp_path: Path) -> None:
    report, stored = run(sites, tmp_path)
    assert stored == {
        "usage+",
        "named+",
        "named",
        "silent+",
        "silent",
        "hidden+",
        "hidden",
        "tdm+",
        "header-yes",
        "xmp-yes",
        "c2pa-yes",
    }
    assert report.rejects == {"content_signal": 3, "content_usage": 4, "tdm_reserved": 2, "opted_out": 1} | IN_THEM
    for name, site in sites.items():
        assert site.hits["/robots.txt"] == 1
        assert site.hits[TDMREP_PATH] == (name != "hidden")  # which robots.txt forbids there
    asked = {path for site in sites.values() for path, times in site.hits.items() if times}
    assert not asked & {
        "/open/signal.jpg",
        "/closed/signal.jpg",
        "/closed/usage.jpg",
        "/open/both.jpg",
        "/closed/both.jpg",
    }
    rejects = pa.concat_tables(map(pq.read_table, sorted((tmp_path / "corpus").glob("rejects/*.parquet")))).to_pylist()
    details = {row["url"].rpartition("/")[2]: row["detail"] for row in rejects if "/open/" not in row["url"]}
    assert details["tdm.jpg"] == "tdmrep.json: TDM-Reservation: / 1"
    assert details["usage.jpg"] == "robots.txt: Content-Usage: train-ai=n"
    assert details["xmp-no.jpg"] == "DMI-PROHIBITED"
    assert details["c2pa-no.jpg"] == "cawg.ai_generative_training: notAllowed"
    assert details["header-signal.jpg"] == "Content-Signal: ai-train=no"


def test_each_no_can_be_ignored_by_its_flag(sites: dict[str, Liar], tmp_path: Path) -> None:
    report, stored = run(
        sites, tmp_path, honour_content_usage=False, honour_tdm=False, honour_opt_outs=False, honour_c2pa=False
    )
    assert report.rejects == {"content_signal": 3, "iptc_reserved": 1}
    assert {"usage", "both", "tdm", "header-usage", "header-tdm", "header-robots", "c2pa-no"} <= stored
    assert not any(site.hits[TDMREP_PATH] for site in sites.values())
