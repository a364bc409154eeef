"""What the descriptions of a corpus say: numbers and digests, read from the objects that `corpus.json` names.

Of rejects there are numbers only. No tag, URL or key of a sample is in them.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tagmill.shards.manifest import SPLITS, Corpus
from tagmill.shards.side_tables import num_runs
from tagmill.shards.storage.store import Store
from tagmill.shards.view import View, ViewFile

REPORT = "report.json"


@dataclass(frozen=True)
class DescribedView:
    """A view: its folder in the corpus, and its file."""

    folder: str
    file: ViewFile


@dataclass(frozen=True)
class CorpusFacts:
    """A generation of a corpus in numbers."""

    corpus: Corpus
    samples: dict[str, int]  # by split
    shards: dict[str, int]  # by split
    bytes: int  # of all tars
    views: dict[str, DescribedView]
    rejects: dict[str, int]  # of the last run, by reason
    rejected: int  # of all runs
    taken_down: int

    @property
    def runs(self) -> int:
        """How many runs made the corpus."""
        return num_runs(self.corpus.file)


def corpus_facts(corpus: Corpus) -> CorpusFacts:
    """Reads the facts. Raises CorpusError or IntegrityError for a view that is not there or was altered."""
    table = corpus.table.select(["split", "samples", "bytes"]).to_pydict()
    samples, shards = Counter(dict.fromkeys(SPLITS, 0)), Counter(table["split"])
    for split, count in zip(table["split"], table["samples"], strict=True):
        samples[split] += count
    views = {
        name: DescribedView(named.path.rpartition("/")[0], View.open(corpus, name).file)
        for name, named in sorted(corpus.file.views.items())
    }
    rejected = int(corpus.file.totals.get("rejects", 0))
    size = sum(table["bytes"])
    return CorpusFacts(
        *(
            corpus,
            dict(samples),
            dict(shards),
            size,
            views,
            _rejects(corpus.store),
            rejected,
            corpus.takedown.num_samples,
        )
    )


def _rejects(store: Store) -> dict[str, int]:
    """The rejects of the last run by reason; none where its report is missing or of another form."""
    try:
        found: Any = json.loads(store.read(REPORT))["rejects"]
        pairs = [(str(reason), int(count)) for reason, count in found.items()]
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {reason: count for reason, count in pairs if reason.isidentifier() and reason.isascii()}
