"""Makes `report.html` of a corpus: one file, without scripts and without network."""

import base64
import hashlib
from collections.abc import Sequence

from tagmill.browse.report.charts import Chart, log_log_chart, share_chart
from tagmill.browse.report.page_facts import PageFacts, page_facts
from tagmill.browse.report.sample_facts import SIZE_BINS
from tagmill.ingest import Reason
from tagmill.pages.templates import render, visible
from tagmill.shards import Corpus
from tagmill.shards.formats.report_pictures import REPORT_PAGE

PAGE_BYTES = 5_000_000  # of the file, at most
_PICTURE_BYTES = 3_500_000  # of its images in base64; the rest is text, whose lengths are bounded
_PACKAGE = "tagmill.browse.report"


class PictureBudget:
    """Gives images as data URLs until the page has as many bytes of them as it may."""

    def __init__(self, most: int = _PICTURE_BYTES) -> None:
        self.left = most
        self.left_out = 0  # images

    def data_url(self, jpeg: bytes | None) -> str | None:
        """Returns an image for `src`; None without an image, and where the page has enough."""
        if jpeg is None:
            return None
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
        if len(url) > self.left:
            self.left_out += 1
            return None
        self.left -= len(url)
        return url


def report_page(corpus: Corpus) -> bytes:
    """Returns the page of a corpus as UTF-8, less than PAGE_BYTES. Raises CorpusError where the corpus itself cannot be
    read; a part that cannot be read is named on the page."""
    facts, budget = page_facts(corpus), PictureBudget()
    style = render(_PACKAGE, "report.css", {})
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    values = {
        "corpus": corpus.file,
        "url": corpus.store.url,
        "facts": facts,
        "style": style,
        "policy": f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "budget": budget,
        "label_chart": _label_chart(facts),
        "recall_chart": share_chart(
            "Predicted recall of near duplicates by Hamming distance",
            "Hamming distance, bits of 256",
            "share that is found",
            facts.run.recall,
        ),
        "size_bins": [f"{low:,} to {2 * low - 1:,}" for low in SIZE_BINS],
        "meaning": _meaning,
        "share": _share,
        "longest": max,
    }
    return render(_PACKAGE, "report.html.jinja", values).encode("utf-8", "replace")


def write_report_page(corpus: Corpus) -> str:
    """Makes the page of a corpus and puts it beside `report.json`; returns its address."""
    corpus.store.put(REPORT_PAGE, report_page(corpus))
    return f"{corpus.store.url.rstrip('/')}/{REPORT_PAGE}"


def _label_chart(facts: PageFacts) -> Chart | None:
    def line(counts: Sequence[float]) -> list[tuple[float, float]]:
        return [(float(rank), float(count)) for rank, count in enumerate(counts, 1)]

    resampled = sorted((count for count in facts.in_epoch if count), reverse=True)
    return log_log_chart(
        "Images of each label against its rank",
        "rank of the label",
        "images",
        [
            ("training images", "first", line(facts.images)),
            ("samples of an epoch, after resampling", "second", line(resampled)),
        ],
    )


def _meaning(reason: str) -> str:
    try:
        return Reason(reason).meaning
    except ValueError:  # of a later version
        return f"not known to this version: {visible(reason)}"


def _share(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole else 0.0
