"""A corpus that is read again at a bounded age, so that a takedown takes effect while pages are shown."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from tagmill.shards.arrays import Int64s
from tagmill.shards.errors import CorpusError, TagmillError
from tagmill.shards.manifest import SPLITS, Corpus
from tagmill.shards.takedown import SAMPLE
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Vocabulary

MAX_AGE_SECONDS = 2.0  # of what is known of the takedown list


@dataclass(frozen=True)
class SplitTotals:
    """Counts of one split; `bytes` are those of its tars."""

    split: str
    shards: int
    samples: int
    bytes: int


@dataclass(frozen=True)
class Snapshot:
    """One generation of a corpus with its views, which are opened when they are first asked for."""

    corpus: Corpus

    @cached_property
    def _views(self) -> dict[str, View]:
        return {}

    def view(self, name: str) -> View:
        """Returns a view. Raises CorpusError if there is none of that name, or it cannot be read."""
        found = self._views.get(name)
        if found is None:
            found = self._views[name] = View.open(self.corpus, name)
        return found

    @cached_property
    def view_names(self) -> list[str]:
        """The views, `default` first."""
        return sorted(self.corpus.file.views, key=lambda name: (name != "default", name))

    def vocabulary(self, name: str) -> Vocabulary:
        """Returns the labels of a view. Raises CorpusError as `view` does."""
        return self.view(name).vocabulary

    @cached_property
    def before(self) -> Int64s:
        """The samples before each shard, and of all shards: int64 [shards + 1]."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.corpus.column("samples"))])

    @property
    def num_shards(self) -> int:
        return len(self.corpus.table)

    @cached_property
    def splits(self) -> list[SplitTotals]:
        """The totals of each split that has shards."""
        table = self.corpus.table
        found = []
        for split in SPLITS:
            part = table.filter(pc.equal(table["split"], split))
            if len(part):
                found.append(
                    SplitTotals(split, len(part), pc.sum(part["samples"]).as_py(), pc.sum(part["bytes"]).as_py())
                )
        return found

    def shard_number(self, name: str) -> int:
        """Returns the number of a shard. Raises CorpusError if the corpus has none of that name."""
        number: int = pc.index(self.corpus.table["name"], name).as_py()
        if number < 0:
            raise CorpusError(f"no shard {name!r}", self.corpus.store.url, "go back to the first page")
        return number

    @cached_property
    def taken_keys(self) -> frozenset[str]:
        """The keys of all samples that are taken down."""
        return frozenset(row["value"] for row in self.corpus.takedown.rows([SAMPLE]) if row["value"])


class CorpusWatch:
    """Opens a corpus, and looks again for a newer generation when what it has is too old."""

    def __init__(
        self,
        url: str,
        cache: Path | None,
        clock: Callable[[], float] = time.monotonic,
        max_age: float = MAX_AGE_SECONDS,
    ) -> None:
        """`cache` is a folder for decoded tables, or None; `max_age` is in seconds of `clock`."""
        self.url = url
        self._cache = cache
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._found: Snapshot | None = None
        self._read_at = 0.0

    def now(self) -> Snapshot:
        """Returns the corpus as it was at most `max_age` ago. Raises TagmillError if it cannot be read: without its
        takedown list nothing may be shown."""
        with self._lock:
            began = self._clock()
            if self._found is not None and began - self._read_at <= self._max_age:
                return self._found
            try:
                corpus = Corpus.open(self.url, self._cache)
                if self._found is None or corpus.file != self._found.corpus.file:
                    _ = corpus.takedown
                    self._found = Snapshot(corpus)
            except TagmillError:
                self._found = None
                raise
            except OSError as error:
                self._found = None
                raise CorpusError(
                    f"cannot be read: {error.strerror or error}", self.url, "see that it is there"
                ) from error
            self._read_at = began
            return self._found


def tables_cache(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Returns the folder in which decoded tables are kept between runs, as the loader's: in $XDG_CACHE_HOME or ~/.cache;
    None for a user without a home folder."""
    given = environment.get("XDG_CACHE_HOME") or ""
    if Path(given).is_absolute():
        return Path(given) / "tagmill"
    try:
        return Path.home() / ".cache" / "tagmill"
    except RuntimeError:
        return None
