"""Makes `report.html` of a corpus: one file, without scripts and without network."""

from collections.abc import Sequence

from tagmill.browse.report.charts import Chart, log_log_chart, share_chart
from tagmill.browse.report.page_facts import PageFacts, page_facts
from tagmill.browse.report.sample_facts import SIZE_BINS
from tagmill.ingest import Reason
from tagmill.pages.standalone import PAGE_BYTES, standalone_page
from tagmill.pages.templates import visible
from tagmill.shards import Corpus
from tagmill.shards.formats.report_pictures import REPORT_PAGE

_PACKAGE = "tagmill.browse.report"


def report_page(corpus: Corpus, most: int = PAGE_BYTES) -> bytes:
    """Returns the page of a corpus as UTF-8, at most `most` bytes: images that do not fit are left out, and the page says how
    many. Raises CorpusError where the corpus itself cannot be read; a part that cannot be read is named on the page."""
    facts = page_facts(corpus)
    values = {
        "corpus": corpus.file,
        "url": corpus.store.url,
        "facts": facts,
        "label_chart": _label_chart(facts),
        "recall_chart": share_chart(
            "Predicted recall of near duplicates by Hamming distance",
            "Hamming distance, bits of 256",
            "share that is found",
            facts.run.recall,
        ),
        "size_bins": [f"{low:,} to {2 * low - 1:,}" for low in SIZE_BINS],
        "meaning": _meaning,
        "longest": max,
    }
    return standalone_page(_PACKAGE, "report.html.jinja", values, most)


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
